//! `/_sandbox`: the control API for other processes.

use chrono::{DateTime, Utc};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    AUDIENCE, CLIENT_ID, TENANT,
    callout::{self, CalloutOrder},
    client::Target,
    entra_token,
    error::SandboxError,
    fault_spec::FaultSpec,
    http::{Head, Request, Response},
    inbound::{self, InboundOrder},
    names,
    proof::Proof,
    record::CalloutKind,
    report::ReportOrder,
    report_sender,
    users::Cast,
    vendors::{self, vonage::jwt},
    world::World,
};

/// Returns whether a request is for the control API. Such requests are not recorded.
pub(crate) fn is_for(head: &Head) -> bool {
    head.service() == "_sandbox"
}

/// Returns the response to a control request.
pub(crate) async fn respond(world: &World, request: &Request) -> Response {
    let what = match request.head.path().as_slice() {
        [] | [""] => "",
        [what] => what,
        _ => return unknown(),
    };
    let now = Utc::now();
    match (&request.head.method, what) {
        (&Method::GET, "") => json_response(&about(world)),
        (&Method::DELETE, "") => {
            world.reset();
            Response::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "messages") => {
            json_response(&world.state().messages.iter().collect::<Vec<_>>())
        }
        (&Method::GET, "resumes") => {
            json_response(&world.state().resumes.iter().collect::<Vec<_>>())
        }
        (&Method::GET, "passes") => json_response(&world.state().passes.records(now)),
        (&Method::GET, "requests") => {
            json_response(&world.state().requests.iter().collect::<Vec<_>>())
        }
        (&Method::GET, "users") => json_response(&world.state().directory.users()),
        (&Method::POST, "users") => result_response(put_user(world, request)),
        (&Method::GET, "faults") => json_response(&world.state().faults.left().collect::<Vec<_>>()),
        (&Method::POST, "faults") => result_response(set_fault(world, request)),
        (&Method::DELETE, "faults") => {
            world.state().faults.clear();
            Response::empty(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "callouts") => result_response(call_out(world, request).await),
        (&Method::POST, "inbound") => result_response(inbound(world, request).await),
        (&Method::POST, "reports") => result_response(report(world, request).await),
        (
            _,
            "" | "callouts" | "faults" | "inbound" | "messages" | "passes" | "reports" | "requests"
            | "resumes" | "users",
        ) => error_response(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!(
                "Method not allowed: {} {}.",
                request.head.method, request.head.raw_path
            ),
        ),
        _ => unknown(),
    }
}

/// Returns what a program needs to use the sandbox.
fn about(world: &World) -> Value {
    let authority = &world.config.authority;
    let urls: Map<_, _> = vendors::ALL
        .iter()
        .map(|vendor| (vendor.name().to_owned(), vendor.url(authority).into()))
        .collect();
    json!({
        "tenant": TENANT,
        "client_id": CLIENT_ID,
        "audience": AUDIENCE,
        "issuer": entra_token::issuer(TENANT),
        "graph": format!("http://{authority}/graph"),
        "login": format!("http://{authority}/login"),
        "callers": {"lifecycle": callout::LIFECYCLE, "access_package": callout::ENTITLEMENT},
        "urls": urls,
        "vonage": {
            "application_id": jwt::APPLICATION,
            "private_key": jwt::private_key(),
        },
        "foreign_requests": world.foreign().len(),
    })
}

fn put_user(world: &World, request: &Request) -> Result<Value, SandboxError> {
    let user = request
        .json()
        .ok_or_else(|| SandboxError::new("invalid body: expected JSON"))?;
    let mut state = world.state();
    let id = state.directory.put(user)?;
    Ok(state.directory.known(&id).cloned().unwrap_or_default())
}

fn set_fault(world: &World, request: &Request) -> Result<Value, SandboxError> {
    let fields = Fields::read(request, &["at", "fault", "times", "ms"])?;
    let mut spec = FaultSpec::new(fields.text("at")?, fields.text("fault")?.parse()?)?;
    if let Some(times) = fields.number("times")? {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        if times == 0 {
            return Err(SandboxError::new("invalid \"times\": expected at least 1"));
        }
        spec = spec.times(times);
    }
    if let Some(ms) = fields.number("ms")? {
        spec = spec.ms(ms);
    }
    let response = json!(spec);
    world.state().faults.set(spec)?;
    Ok(response)
}

async fn call_out(world: &World, request: &Request) -> Result<Value, SandboxError> {
    let fields = Fields::read(
        request,
        &[
            "target", "user", "kind", "window", "repeat", "token", "hostile",
        ],
    )?;
    let kind = match fields.maybe_text("kind")? {
        None | Some("lifecycle") => CalloutKind::Lifecycle,
        Some("access_package") => CalloutKind::AccessPackage,
        Some(_) => {
            return Err(SandboxError::new(
                "invalid \"kind\": expected \"lifecycle\" or \"access_package\"",
            ));
        }
    };
    let user = fields.maybe_text("user")?.unwrap_or(Cast::JOINER);
    let mut order = CalloutOrder::new(user, kind);
    if let Some(window) = fields.maybe_text("window")? {
        order = order.window(window);
    }
    match fields.number("repeat")? {
        None | Some(0) => {}
        Some(1) => order = order.repeated(),
        Some(_) => return Err(SandboxError::new("invalid \"repeat\": expected 0 or 1")),
    }
    if let Some(version) = fields.maybe_text("token")? {
        order = order.token(version.parse()?);
    }
    if let Some(hostile) = fields.maybe_text("hostile")? {
        order = order.hostile(hostile.parse()?);
    }
    let callout = match fields.maybe_text("target")? {
        Some(target) => callout::deliver(world, &order, &Target::parse(target)?).await?,
        None => callout::start(&mut world.state(), &order, Utc::now())?,
    };
    Ok(json!(callout))
}

async fn report(world: &World, request: &Request) -> Result<Value, SandboxError> {
    let fields = Fields::read(
        request,
        &[
            "reference",
            "id",
            "to",
            "status",
            "code",
            "secret",
            "at",
            "form",
            "signature_method",
            "target",
        ],
    )?;
    let status = fields.text("status")?.parse()?;
    let mut order = match (fields.maybe_text("reference")?, fields.maybe_text("id")?) {
        (Some(reference), None) => ReportOrder::new(reference, status),
        (None, Some(id)) => ReportOrder::by_id(id, status),
        _ => {
            return Err(SandboxError::new("expected either \"reference\" or \"id\""));
        }
    };
    if let Some(to) = fields.maybe_text("to")? {
        order = order.to(to);
    }
    if let Some(code) = fields.maybe_text("code")? {
        order = order.code(code);
    }
    fields.read_proof(&mut order.proof)?;
    let status = report_sender::deliver(world, &order, fields.maybe_text("target")?).await?;
    Ok(json!({"status": status}))
}

async fn inbound(world: &World, request: &Request) -> Result<Value, SandboxError> {
    let fields = Fields::read(
        request,
        &[
            "vendor",
            "api",
            "from",
            "to",
            "text",
            "secret",
            "at",
            "form",
            "signature_method",
            "target",
        ],
    )?;
    let mut order = InboundOrder::new(
        fields.text("vendor")?,
        fields.text("from")?,
        fields.text("to")?,
        fields.text("text")?,
    );
    if let Some(api) = fields.maybe_text("api")? {
        order = order.api(api);
    }
    fields.read_proof(&mut order.proof)?;
    let status = inbound::deliver(world, &order, fields.text("target")?).await?;
    Ok(json!({"status": status}))
}

/// The members of a control request's body.
struct Fields {
    members: Map<String, Value>,
}

impl Fields {
    fn read(request: &Request, known: &[&str]) -> Result<Self, SandboxError> {
        let Some(Value::Object(members)) = request.json() else {
            return Err(SandboxError::new("invalid body: expected a JSON object"));
        };
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(names::unknown("member", name, known.iter().copied())),
            None => Ok(Self { members }),
        }
    }

    fn text(&self, name: &str) -> Result<&str, SandboxError> {
        self.maybe_text(name)?
            .ok_or_else(|| SandboxError::new(format!("{name:?} is missing")))
    }

    fn maybe_text(&self, name: &str) -> Result<Option<&str>, SandboxError> {
        self.get(name, "a string", Value::as_str)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, SandboxError> {
        self.get(name, "a whole number", Value::as_u64)
    }

    /// Reads what a vendor proves its request with.
    fn read_proof(&self, proof: &mut Proof) -> Result<(), SandboxError> {
        proof.secret = self.maybe_text("secret")?.map(str::to_owned);
        proof.at = self.get("at", "a time such as 2026-12-24T08:30:00Z", |value| {
            Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
        })?;
        if let Some(form) = self.maybe_text("form")? {
            proof.form = form.parse()?;
        }
        if let Some(method) = self.maybe_text("signature_method")? {
            proof.method = method.parse()?;
        }
        Ok(())
    }

    fn get<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SandboxError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| SandboxError::new(format!("invalid {name:?}: expected {what}"))),
        }
    }
}

fn json_response(body: &impl Serialize) -> Response {
    Response::json(StatusCode::OK, &json!(body))
}

fn result_response(result: Result<Value, SandboxError>) -> Response {
    match result {
        Ok(body) => json_response(&body),
        Err(error) => error_response(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn unknown() -> Response {
    error_response(
        StatusCode::NOT_FOUND,
        "Not found. Below /_sandbox are callouts, faults, inbound, messages, passes, reports, requests, resumes and users.",
    )
}

fn error_response(status: StatusCode, message: &str) -> Response {
    Response::json(status, &json!({"error": {"message": message}}))
}
