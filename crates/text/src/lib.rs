//! What a text message costs.
#![no_std]
