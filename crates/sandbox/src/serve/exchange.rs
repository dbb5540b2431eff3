//! One request and its answer, with whatever goes wrong between them.

use std::{
    fmt,
    future::{pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::Utc;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION},
};
use tokio::time;

use super::{body::Outgoing, bomb};
use crate::{
    control,
    fault::{Fault, Strike},
    graph,
    record::{SeenRequest, short},
    services,
    wire::{Call, Head, Reply},
    world::{State, World},
};

/// How large a request's body may be.
const BODY: usize = 1 << 20;

/// The end of a connection, as an error that makes the server let go of it.
#[derive(Debug)]
pub(super) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for HungUp {}

/// Answers a request to one of the pretend services, or to the sandbox itself.
pub(super) async fn answer(
    world: &Arc<World>,
    request: Request<Incoming>,
    reset: &AtomicBool,
) -> Result<Response<Outgoing>, HungUp> {
    let (parts, body) = request.into_parts();
    let head = Head::new(parts);
    if control::is_for(&head) {
        let body = read(body).await?;
        let reply = match body {
            Some(body) => control::answer(world, &Call { head, body }).await,
            None => too_large(),
        };
        return Ok(whole(reply));
    }

    let point = services::point(&head);
    let (strike, place) = {
        let mut state = world.state();
        let strike = point.and_then(|point| state.faults.strike(point));
        (strike, state.requests.push(seen(&head)))
    };
    world.has_changed();
    let fault = strike.map(|strike| strike.fault);
    let hang_up = || {
        reset.store(true, Ordering::Relaxed);
        HungUp
    };

    if fault == Some(Fault::ResetBeforeRead) {
        return Err(hang_up());
    }
    let Some(body) = read(body).await? else {
        return Ok(told(world, place, whole(too_large())));
    };
    match fault {
        Some(Fault::ResetAfterRead) => return Err(hang_up()),
        Some(Fault::StallBefore) => return pending().await,
        _ => {}
    }

    let call = Call { head, body };
    if let Some(strike) = strike.filter(|strike| strike.fault == Fault::Late) {
        let world = Arc::clone(world);
        // A task of its own: the caller's connection ends before it does.
        tokio::spawn(async move {
            time::sleep(strike.wait()).await;
            process(&world, &call, None);
        });
        return Err(hang_up());
    }
    let reply = process(world, &call, strike);

    match (fault, strike) {
        (Some(Fault::LostAnswer), _) => return Err(hang_up()),
        (Some(Fault::Stall), _) => return pending().await,
        (Some(Fault::Delay), Some(strike)) => time::sleep(strike.wait()).await,
        _ => {}
    }
    Ok(told(world, place, spoilt(reply, strike)))
}

/// Has the effect of a call, and gives its answer.
fn process(world: &World, call: &Call, strike: Option<Strike>) -> Reply {
    let reply = {
        let mut state = world.state();
        let reply = decide(world, &mut state, call, strike);
        // Whoever answered, the gateway too: what counts is the status in the record.
        if let Some(resume) = graph::resume::record(call, reply.status, Utc::now()) {
            state.resumes.push(resume);
        }
        reply
    };
    world.has_changed();
    reply
}

/// Answers, as a stranger would, what a followed redirect brought to the wrong host.
pub(super) fn elsewhere(world: &World, request: Request<Incoming>) -> Response<Outgoing> {
    let (parts, _) = request.into_parts();
    let mut seen = seen(&Head::new(parts));
    seen.status = Some(StatusCode::OK.as_u16());
    // The host is the one that was reached, whatever the caller says: it is what counts these.
    seen.host.clone_from(&world.place.elsewhere);
    world.state().requests.push(seen);
    world.has_changed();
    whole(Reply::text(StatusCode::OK, "application/json", "{}"))
}

/// What the gateway in front of a service says, or the service itself.
fn decide(world: &World, state: &mut State, call: &Call, strike: Option<Strike>) -> Reply {
    let place = &world.place;
    match strike.map(|strike| strike.fault) {
        Some(Fault::Html502) => {
            return Reply::text(StatusCode::BAD_GATEWAY, "text/html", GATEWAY);
        }
        Some(Fault::Status503) => return Reply::empty(StatusCode::SERVICE_UNAVAILABLE),
        Some(Fault::Redirect) => {
            return Reply::empty(StatusCode::TEMPORARY_REDIRECT).with(
                LOCATION,
                format!("http://{}{}", place.elsewhere, call.head.raw_path),
            );
        }
        _ => {}
    }
    services::answer(state, place, call, strike)
}

const GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// Puts an answer on the wire, spoilt where a fault says so.
///
/// The faults that claim success leave a refusal alone: whoever was refused is told so.
fn spoilt(reply: Reply, strike: Option<Strike>) -> Response<Outgoing> {
    let Some(strike) = strike else {
        return whole(reply);
    };
    let claim = |body: Bytes| {
        let mut headers = reply.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Reply {
            status: StatusCode::OK,
            headers,
            body,
        }
    };
    match strike.fault {
        Fault::SlowBody => {
            let body = Outgoing::slow(reply.body.clone(), strike.wait());
            response(reply, body)
        }
        _ if !reply.status.is_success() => whole(reply),
        Fault::EmptyOk => whole(claim(Bytes::new())),
        Fault::GzipBomb => {
            let reply = claim(bomb::gzip());
            whole(reply.with(CONTENT_ENCODING, "gzip"))
        }
        Fault::HugeBody => {
            let body = Outgoing::endless(Bytes::from_static(b"{\"value\":\""));
            response(claim(Bytes::new()), body)
        }
        Fault::InvalidUtf8 => whole(claim(Bytes::from_static(b"{\"status\":\"O\xffK\"}"))),
        Fault::NotJson => whole(claim(Bytes::from_static(b"It worked, thank you!"))),
        Fault::TruncatedBody => {
            let mut body = reply.body.clone();
            if body.is_empty() {
                body = Bytes::from_static(b"{\"value\":[]}");
            }
            let half = body.slice(..body.len() / 2);
            let reply = claim(Bytes::new()).with(CONTENT_LENGTH, body.len().to_string());
            response(reply, Outgoing::cut_off(half))
        }
        _ => whole(reply),
    }
}

fn whole(reply: Reply) -> Response<Outgoing> {
    let body = Outgoing::whole(reply.body.clone());
    response(reply, body)
}

fn response(reply: Reply, body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

fn told(world: &World, place: usize, response: Response<Outgoing>) -> Response<Outgoing> {
    if let Some(seen) = world.state().requests.at(place) {
        seen.status = Some(response.status().as_u16());
    }
    world.has_changed();
    response
}

fn too_large() -> Reply {
    Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)
}

fn seen(head: &Head) -> SeenRequest {
    SeenRequest {
        method: head.method.to_string(),
        host: short(&head.host),
        path: short(&head.raw_path),
        status: None,
        at: Utc::now(),
    }
}

/// Reads a body to its end, or gives nothing where it is too large.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, HungUp> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|_| HungUp)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.into()))
}
