//! One request and its response, with the fault between them.

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
    StatusCode,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION},
};
use tokio::time;

use super::{body::Outgoing, gzip_bomb};
use crate::{
    control,
    fault::{Fault, Strike},
    graph,
    http::{Head, Request, Response},
    record::{SeenRequest, short},
    services,
    world::{State, World},
};

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

/// The end of a connection, as an error that makes hyper close it.
#[derive(Debug)]
pub(super) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for HungUp {}

/// Serves a request to a simulated service or to the control API.
pub(super) async fn serve(
    world: &Arc<World>,
    request: hyper::Request<Incoming>,
    reset: &AtomicBool,
) -> Result<hyper::Response<Outgoing>, HungUp> {
    let (parts, body) = request.into_parts();
    let head = Head::new(parts);
    if control::is_for(&head) {
        let body = read_body(body).await?;
        let response = match body {
            Some(body) => control::respond(world, &Request { head, body }).await,
            None => too_large(),
        };
        return Ok(whole(response));
    }

    let point = services::fault_point(&head);
    let (strike, index) = {
        let mut state = world.state();
        let strike = point.and_then(|point| state.faults.strike(point));
        (strike, state.requests.push(record_of(&head)))
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
    let Some(body) = read_body(body).await? else {
        return Ok(recorded(world, index, whole(too_large())));
    };
    match fault {
        Some(Fault::ResetAfterRead) => return Err(hang_up()),
        Some(Fault::StallBefore) => return pending().await,
        _ => {}
    }

    let request = Request { head, body };
    if let Some(strike) = strike.filter(|strike| strike.fault == Fault::Late) {
        let world = Arc::clone(world);
        // A separate task, which outlives the caller's connection.
        tokio::spawn(async move {
            time::sleep(strike.wait()).await;
            process(&world, &request, None);
        });
        return Err(hang_up());
    }
    let response = process(world, &request, strike);

    match (fault, strike) {
        (Some(Fault::LostAnswer), _) => return Err(hang_up()),
        (Some(Fault::Stall), _) => return pending().await,
        (Some(Fault::Delay), Some(strike)) => time::sleep(strike.wait()).await,
        _ => {}
    }
    Ok(recorded(world, index, spoil(response, strike)))
}

/// Processes a request, records a resume, and returns the response.
fn process(world: &World, request: &Request, strike: Option<Strike>) -> Response {
    let response = {
        let mut state = world.state();
        let response = respond(world, &mut state, request, strike);
        // A response of the gateway counts too: the record holds its status.
        if let Some(resume) = graph::resume::record(request, response.status, Utc::now()) {
            state.resumes.push(resume);
        }
        response
    };
    world.has_changed();
    response
}

/// Serves a request that followed a redirect to the other host.
pub(super) fn foreign(
    world: &World,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Outgoing> {
    let (parts, _) = request.into_parts();
    let mut seen = record_of(&Head::new(parts));
    seen.status = Some(StatusCode::OK.as_u16());
    // The record holds the listener's host, whatever the request names, since it identifies these requests.
    seen.host.clone_from(&world.config.foreign);
    world.state().requests.push(seen);
    world.has_changed();
    whole(Response::text(StatusCode::OK, "application/json", "{}"))
}

/// Returns the response of the gateway in front of a service, or of the service.
fn respond(
    world: &World,
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
) -> Response {
    let config = &world.config;
    match strike.map(|strike| strike.fault) {
        Some(Fault::Html502) => {
            return Response::text(StatusCode::BAD_GATEWAY, "text/html", GATEWAY);
        }
        Some(Fault::Status503) => return Response::empty(StatusCode::SERVICE_UNAVAILABLE),
        Some(Fault::Redirect) => {
            return Response::empty(StatusCode::TEMPORARY_REDIRECT).with(
                LOCATION,
                format!("http://{}{}", config.foreign, request.head.raw_path),
            );
        }
        _ => {}
    }
    services::respond(state, config, request, strike)
}

const GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// Applies the fault to the response on its way out.
///
/// Faults that claim success do not change a refusal.
fn spoil(response: Response, strike: Option<Strike>) -> hyper::Response<Outgoing> {
    let Some(strike) = strike else {
        return whole(response);
    };
    let claim = |body: Bytes| {
        let mut headers = response.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Response {
            status: StatusCode::OK,
            headers,
            body,
        }
    };
    match strike.fault {
        Fault::SlowBody => {
            let body = Outgoing::slow(response.body.clone(), strike.wait());
            with_body(response, body)
        }
        _ if !response.status.is_success() => whole(response),
        Fault::EmptyOk => whole(claim(Bytes::new())),
        Fault::GzipBomb => {
            let response = claim(gzip_bomb::gzip());
            whole(response.with(CONTENT_ENCODING, "gzip"))
        }
        Fault::HugeBody => {
            let body = Outgoing::endless(Bytes::from_static(b"{\"value\":\""));
            with_body(claim(Bytes::new()), body)
        }
        Fault::InvalidUtf8 => whole(claim(Bytes::from_static(b"{\"status\":\"O\xffK\"}"))),
        Fault::NotJson => whole(claim(Bytes::from_static(b"It worked, thank you!"))),
        Fault::TruncatedBody => {
            let mut body = response.body.clone();
            if body.is_empty() {
                body = Bytes::from_static(b"{\"value\":[]}");
            }
            let half = body.slice(..body.len() / 2);
            let response = claim(Bytes::new()).with(CONTENT_LENGTH, body.len().to_string());
            with_body(response, Outgoing::cut_off(half))
        }
        _ => whole(response),
    }
}

fn whole(response: Response) -> hyper::Response<Outgoing> {
    let body = Outgoing::whole(response.body.clone());
    with_body(response, body)
}

fn with_body(response: Response, body: Outgoing) -> hyper::Response<Outgoing> {
    let mut outgoing = hyper::Response::new(body);
    *outgoing.status_mut() = response.status;
    *outgoing.headers_mut() = response.headers;
    outgoing
}

fn recorded(
    world: &World,
    index: usize,
    response: hyper::Response<Outgoing>,
) -> hyper::Response<Outgoing> {
    if let Some(seen) = world.state().requests.at(index) {
        seen.status = Some(response.status().as_u16());
    }
    world.has_changed();
    response
}

fn too_large() -> Response {
    Response::empty(StatusCode::PAYLOAD_TOO_LARGE)
}

fn record_of(head: &Head) -> SeenRequest {
    SeenRequest {
        method: head.method.to_string(),
        host: short(&head.host),
        path: short(&head.raw_path),
        status: None,
        at: Utc::now(),
    }
}

/// Reads a body to its end, or returns `None` where it is too large.
async fn read_body(mut body: Incoming) -> Result<Option<Bytes>, HungUp> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|_| HungUp)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_BODY {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.into()))
}
