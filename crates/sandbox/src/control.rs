//! `/_sandbox`: how another process plays along.

use chrono::Utc;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    AUDIENCE, CLIENT_ID, TENANT,
    callout::{self, CalloutOrder},
    cast::Cast,
    error::SandboxError,
    fault_spec::FaultSpec,
    post::Target,
    record::CalloutKind,
    report::ReportOrder,
    report_sender, sign,
    vendors::{self, vonage::jwt},
    wire::{Call, Head, Reply},
    world::World,
};

/// Whether a request is to the sandbox itself; such requests are not recorded.
pub(crate) fn is_for(head: &Head) -> bool {
    head.service() == "_sandbox"
}

/// Does what a control call asks for.
pub(crate) async fn answer(world: &World, call: &Call) -> Reply {
    let what = match call.head.path().as_slice() {
        [] | [""] => "",
        [what] => what,
        _ => return unknown(),
    };
    let now = Utc::now();
    match (&call.head.method, what) {
        (&Method::GET, "") => ok(&about(world)),
        (&Method::DELETE, "") => {
            world.reset();
            Reply::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "messages") => ok(&world.state().messages.iter().collect::<Vec<_>>()),
        (&Method::GET, "resumes") => ok(&world.state().resumes.iter().collect::<Vec<_>>()),
        (&Method::GET, "passes") => ok(&world.state().passes.records(now)),
        (&Method::GET, "requests") => ok(&world.state().requests.iter().collect::<Vec<_>>()),
        (&Method::GET, "users") => ok(&world.state().directory.users()),
        (&Method::POST, "users") => done(put_user(world, call)),
        (&Method::GET, "faults") => ok(&world.state().faults.left().collect::<Vec<_>>()),
        (&Method::POST, "faults") => done(set_fault(world, call)),
        (&Method::DELETE, "faults") => {
            world.state().faults.clear();
            Reply::empty(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "callouts") => done(play(world, call).await),
        (&Method::POST, "reports") => done(report(world, call).await),
        (
            _,
            "" | "callouts" | "faults" | "messages" | "passes" | "reports" | "requests" | "resumes"
            | "users",
        ) => told(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!(
                "{} is not what {} is for.",
                call.head.method, call.head.raw_path
            ),
        ),
        _ => unknown(),
    }
}

/// What a program needs to play along.
fn about(world: &World) -> Value {
    let authority = &world.place.authority;
    let urls: Map<_, _> = vendors::ALL
        .iter()
        .map(|vendor| (vendor.name().to_owned(), vendor.url(authority).into()))
        .collect();
    json!({
        "tenant": TENANT,
        "client_id": CLIENT_ID,
        "audience": AUDIENCE,
        "issuer": sign::issuer(TENANT),
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

fn put_user(world: &World, call: &Call) -> Result<Value, SandboxError> {
    let user = call
        .json()
        .ok_or_else(|| SandboxError::new("the body is not JSON"))?;
    let mut state = world.state();
    let id = state.directory.put(user)?;
    Ok(state.directory.known(&id).cloned().unwrap_or_default())
}

fn set_fault(world: &World, call: &Call) -> Result<Value, SandboxError> {
    let wish = Wish::read(call, &["at", "fault", "times", "ms"])?;
    let mut spec = FaultSpec::new(wish.text("at")?, wish.text("fault")?.parse()?)?;
    if let Some(times) = wish.number("times")? {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        if times == 0 {
            return Err(SandboxError::new("\"times\" is at least 1"));
        }
        spec = spec.times(times);
    }
    if let Some(ms) = wish.number("ms")? {
        spec = spec.ms(ms);
    }
    let told = json!(spec);
    world.state().faults.set(spec)?;
    Ok(told)
}

async fn play(world: &World, call: &Call) -> Result<Value, SandboxError> {
    let wish = Wish::read(
        call,
        &["target", "user", "kind", "window", "repeat", "hostile"],
    )?;
    let kind = match wish.maybe_text("kind")? {
        None | Some("lifecycle") => CalloutKind::Lifecycle,
        Some("access_package") => CalloutKind::AccessPackage,
        Some(_) => {
            return Err(SandboxError::new(
                "\"kind\" is \"lifecycle\" or \"access_package\"",
            ));
        }
    };
    let user = wish.maybe_text("user")?.unwrap_or(Cast::JOINER);
    let mut order = CalloutOrder::new(user, kind);
    if let Some(window) = wish.maybe_text("window")? {
        order = order.window(window);
    }
    match wish.number("repeat")? {
        None | Some(0) => {}
        Some(1) => order = order.repeated(),
        Some(_) => return Err(SandboxError::new("\"repeat\" is 0 or 1")),
    }
    if let Some(hostile) = wish.maybe_text("hostile")? {
        order = order.hostile(hostile.parse()?);
    }
    let callout = match wish.maybe_text("target")? {
        Some(target) => callout::deliver(world, &order, &Target::parse(target)?).await?,
        None => callout::play(&mut world.state(), &order, Utc::now())?,
    };
    Ok(json!(callout))
}

async fn report(world: &World, call: &Call) -> Result<Value, SandboxError> {
    let wish = Wish::read(
        call,
        &[
            "reference",
            "id",
            "to",
            "status",
            "code",
            "form",
            "signature_method",
            "target",
        ],
    )?;
    let status = wish.text("status")?.parse()?;
    let mut order = match (wish.maybe_text("reference")?, wish.maybe_text("id")?) {
        (Some(reference), None) => ReportOrder::new(reference, status),
        (None, Some(id)) => ReportOrder::by_id(id, status),
        _ => {
            return Err(SandboxError::new(
                "either \"reference\" or \"id\" says which text",
            ));
        }
    };
    if let Some(to) = wish.maybe_text("to")? {
        order = order.to(to);
    }
    if let Some(code) = wish.maybe_text("code")? {
        order = order.code(code);
    }
    if let Some(form) = wish.maybe_text("form")? {
        order = order.form(form.parse()?);
    }
    if let Some(method) = wish.maybe_text("signature_method")? {
        order = order.signature_method(method.parse()?);
    }
    let status = report_sender::deliver(world, &order, wish.maybe_text("target")?).await?;
    Ok(json!({"status": status}))
}

/// The members of a control call's body.
struct Wish {
    members: Map<String, Value>,
}

impl Wish {
    fn read(call: &Call, known: &[&str]) -> Result<Self, SandboxError> {
        let Some(Value::Object(members)) = call.json() else {
            return Err(SandboxError::new("the body is not a JSON object"));
        };
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(SandboxError::new(format!(
                "there is no {name:?}; there are {}",
                known.join(", ")
            ))),
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
                .ok_or_else(|| SandboxError::new(format!("{name:?} is {what}"))),
        }
    }
}

fn ok(body: &impl Serialize) -> Reply {
    Reply::json(StatusCode::OK, &json!(body))
}

fn done(result: Result<Value, SandboxError>) -> Reply {
    match result {
        Ok(body) => ok(&body),
        Err(error) => told(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn unknown() -> Reply {
    told(
        StatusCode::NOT_FOUND,
        "Nothing is here. Below /_sandbox are callouts, faults, messages, passes, reports, requests, resumes and users.",
    )
}

fn told(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message}}))
}
