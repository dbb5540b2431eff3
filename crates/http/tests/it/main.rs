//! What a failure at each phase of a request proves, seen from a server that counts.
//!
//! | Where | What befalls the call | Promise | Tests |
//! |---|---|---|---|
//! | name | it does not resolve | not sent | `phases::a_name_that_does_not_resolve…` |
//! | connection | refused; never taken | not sent, in time | `phases::a_refused_connection…`, `phases::a_connection_that_nobody_takes…` |
//! | connection | through a proxy that was asked for, or that the environment names | no credential is shown to it; it is not asked | `proxies` |
//! | TLS | expired, self-signed, of another name or an unknown root; TLS 1.1 | not sent, no request leaves | `tls` |
//! | TLS | no TLS at all; a stall | not sent, in time | `phases::a_failed_handshake…`, `phases::a_handshake_that_stalls…` |
//! | reuse | closed by the server while idle | no doubt | `reuse::a_connection_that_was_closed_while_idle…`, `reuse::an_idle_connection_is_given_up…` |
//! | reuse | closed after each answer, 500 times | typed, made once, nothing leaks | `reuse::five_hundred_sends…` |
//! | reuse | an answer too many, an answer too late | never another request's answer | `reuse::an_answer_that…` |
//! | reuse | closed after the request was read | in doubt, made once | `phases::a_kept_alive_connection…` |
//! | request | reset before or in the middle of it; never read | in doubt, made once | `phases::a_reset…`, `phases::a_server_that_never_reads…` |
//! | answer | none; cut; slow; endless; packed | in doubt, within bounds | `phases::an_answer…`, `phases::a_compressed_answer…` |
//! | answer | chunks cut or without a size | in doubt | `wire::chunks…` |
//! | answer | a head of megabytes, or of thousands of headers | in doubt, within bounds | `wire::a_head_beyond_any_bound…` |
//! | answer | two lengths, control characters, a length and chunks | in doubt; the connection ends | `wire::a_head_that_could_be_read_in_two_ways…`, `wire::after_a_length_and_chunks…` |
//! | answer | right JSON under a wrong content type | read | `wire::json_is_read…` |
//! | answer | a redirect; a status of any kind | never followed; by who says it | `phases::no_redirect…`, `evidence` |
//! | HTTP/2 | answered; reset; refused; going away; cut | in doubt, made once | `http2` (feature `http2`) |
//! | clock | the wall clock jumps | no wait changes, no old report gets in | `clocks` |
//! | runtime | none; one without time or I/O | not sent, `Misconfigured` | `runtimes` |
//! | load | 10,000 sends at a vendor that never answers | refused at once beyond the queue, in bounded memory | `load` |
//! | token | anything | not sent, one fetch for all | `oauth` |
//! | secrets | anything | in no error and no `Debug` | `secrecy` |

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod clocks;
mod evidence;
#[cfg(feature = "http2")]
mod http2;
mod load;
mod oauth;
mod phases;
mod proxies;
mod reuse;
mod runtimes;
mod secrecy;
mod signature;
mod tls;
mod wire;
