//! The two resume requests: of a lifecycle task, and of an access package's request.

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use serde_json::Value;

use super::{GraphError, Route};
use crate::{
    execution::Refused,
    guid,
    http::{Request, Response},
    record::{Resume, ResumeKind, short},
    world::State,
};

/// The prefix of the callback's type, before the stage.
const TYPE: &str = "microsoft.graph.accessPackageCustomExtensionStage.";

const STAGES: [&str; 4] = [
    "assignmentRequestApproved",
    "assignmentRequestCreated",
    "assignmentRequestGranted",
    "assignmentRequestRemoved",
];

/// Handles `POST …/taskProcessingResults/{id}/resume`.
pub(super) fn lifecycle(
    state: &mut State,
    request: &Request,
    ids: &[String; 3],
    now: DateTime<Utc>,
) -> Result<Response, GraphError> {
    let [workflow, task, result] = ids;
    if ![workflow, task, result].into_iter().all(|id| guid::is(id)) {
        return Err(GraphError::bad_request("Invalid GUID in the request path."));
    }
    let body = super::object(request)?;
    if status(&body).is_none() {
        return Err(GraphError::bad_request(
            "Invalid value for the property 'operationStatus'.",
        ));
    }
    state
        .executions
        .resume(result, &[workflow, task], now)
        .map_err(|refused| match refused {
            Refused::Already => GraphError::already_resumed(),
            Refused::Late => GraphError::bad_request(
                "The task processing result does not wait for a callback any more.",
            ),
            Refused::Unknown => GraphError::nothing_to_resume(),
        })?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Handles `POST …/assignmentRequests/{id}/resume`.
pub(super) fn assignment(
    state: &mut State,
    request: &Request,
    request_id: &str,
    now: DateTime<Utc>,
) -> Result<Response, GraphError> {
    if !guid::is(request_id) {
        return Err(GraphError::bad_request("Invalid GUID in the request path."));
    }
    let body = super::object(request)?;
    let instance = stage_instance(&body).ok_or_else(|| {
        GraphError::bad_request("The callback data of the custom extension stage is not valid.")
    })?;
    state
        .executions
        .resume(instance, &[request_id], now)
        .map_err(|refused| match refused {
            Refused::Unknown => GraphError::nothing_to_resume(),
            // The action works only while the request waits; 400 is the only documented status.
            Refused::Already | Refused::Late => {
                GraphError::bad_request("The request is not in the status WaitingForCallback.")
            }
        })?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Returns the record of a resume request, with the status of Graph's response.
pub(crate) fn record(
    request: &Request,
    answered: StatusCode,
    now: DateTime<Utc>,
) -> Option<Resume> {
    let body = || request.json().unwrap_or_default();
    let (kind, execution, status, detail) = match Route::of(&request.head) {
        Route::Lifecycle([_, _, result]) => {
            (ResumeKind::Lifecycle, short(&result), status(&body()), None)
        }
        Route::Assignment(_) => {
            let data = &body()["data"];
            let detail = data["customExtensionStageInstanceDetail"].as_str();
            (
                ResumeKind::Assignment,
                short(text(&data["customExtensionStageInstanceId"])).to_ascii_lowercase(),
                None,
                detail.map(short),
            )
        }
        _ => return None,
    };
    Some(Resume {
        kind,
        execution,
        status: status.map(str::to_owned),
        detail,
        answered: answered.as_u16(),
        at: now,
    })
}

/// Returns the verdict in the spelling of Microsoft's sample. The service reads it in any case.
fn status(body: &Value) -> Option<&'static str> {
    let written = text(&body["data"]["operationStatus"]);
    ["Completed", "Failed"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(written))
}

/// Returns the id of the stage instance in a valid callback.
fn stage_instance(body: &Value) -> Option<&str> {
    body["source"].as_str()?;
    let stage = text(&body["type"]).strip_prefix(TYPE)?;
    let data = &body["data"];
    let is_callback = text(&data["@odata.type"]).trim_start_matches('#')
        == "microsoft.graph.accessPackageAssignmentRequestCallbackData";
    let detail = &data["customExtensionStageInstanceDetail"];
    let may_pass = is_callback
        && STAGES.contains(&stage)
        && text(&data["stage"]) == stage
        && (detail.is_null() || detail.is_string());
    may_pass
        .then(|| text(&data["customExtensionStageInstanceId"]))
        .filter(|id| guid::is(id))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
