//! What a failure at each phase of a request proves, tested against a server that counts.
//!
//! | Phase | Failure | Promise | Tests |
//! |---|---|---|---|
//! | name | it does not resolve | not sent | `phases::a_name_that_does_not_resolve…` |
//! | connection | refused; never accepted | not sent, in time | `phases::a_refused_connection…`, `phases::a_connection_that_is_never_accepted…` |
//! | connection | through a configured proxy, or one of the environment | it sees no credential; it is not used | `proxies` |
//! | TLS | expired, self-signed, of another name or an unknown root; TLS 1.1 | not sent, no request leaves | `tls` |
//! | TLS | no TLS at all; a stall | not sent, in time | `phases::a_failed_handshake…`, `phases::a_handshake_that_stalls…` |
//! | reuse | closed by the server while idle | no doubt | `reuse::a_connection_that_was_closed_while_idle…`, `reuse::an_idle_connection_is_given_up…` |
//! | reuse | closed after each response, 500 times | typed, made once, nothing leaks | `reuse::five_hundred_sends…` |
//! | reuse | an unsolicited response, a late response | never another request's response | `reuse::a_response_…` |
//! | reuse | closed after the request was read | in doubt, made once | `phases::a_kept_alive_connection…` |
//! | request | reset before or in the middle of it; never read | in doubt, made once | `phases::a_reset…`, `phases::a_server_that_never_reads…` |
//! | response | none; cut; slow; endless; compressed | in doubt, within bounds | `phases::a_response…`, `phases::a_compressed_response…` |
//! | response | chunks cut or without a size | in doubt | `wire::chunks…` |
//! | response | a head of megabytes, or of thousands of headers | in doubt, within bounds | `wire::a_head_beyond_any_bound…` |
//! | response | two lengths, control characters, a length and chunks | in doubt; the connection ends | `wire::an_ambiguous_head…`, `wire::after_a_length_and_chunks…` |
//! | response | right JSON under a wrong content type | read | `wire::json_is_read…` |
//! | response | a redirect; any status | never followed; as its author proves | `phases::no_redirect…`, `evidence` |
//! | HTTP/2 | a response; reset; refused; going away; cut | in doubt, made once | `http2` (feature `http2`) |
//! | clock | the wall clock jumps | no wait changes, no old report is accepted | `clocks` |
//! | runtime | none; one without time or I/O | not sent, `Misconfigured` | `runtimes` |
//! | runtime | another one ends, or does not run | no call notices | `runtimes::the_end_of_a_runtime…`, `runtimes::a_runtime_that_does_not_run…` |
//! | load | 10,000 sends at a vendor that never responds | refused at once beyond the queue, in bounded memory | `load` |
//! | token | any | not sent, one fetch for all | `oauth` |
//! | secrets | any | in no error and no `Debug` | `secrecy` |

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod clocks;
mod evidence;
#[cfg(feature = "http2")]
mod http2;
mod load;
mod oauth;
mod own_headers;
mod phases;
mod proxies;
mod reuse;
mod runtimes;
mod secrecy;
mod signature;
mod tls;
mod wire;
