//! The story of a flow, for people.

use postduif::{
    directory::{FailureReason, Verdict},
    onboarding::{Ending, StepName},
};
use serde_json::Value;

use super::Output;

/// Writes each step with its duration, and the ending.
pub(super) fn tell(output: Output, ending: &Ending) {
    output.line(format!(
        "\nEntra calls about a new colleague (execution {}).\n",
        ending.flow
    ));
    for taken in &ending.steps {
        let what = match taken.step {
            StepName::ReadUser => "the user is read from Microsoft Graph",
            StepName::Guard => "enabled, not a guest, not an administrator, a mobile number?",
            StepName::IssuePass => "a Temporary Access Pass is issued",
            StepName::Send => "the pass is sent as a text",
            StepName::AwaitReport => "the vendor reports the delivery",
            StepName::RevokePass => "the pass is revoked",
            StepName::Resume => "Entra gets the verdict",
            _ => "",
        };
        output.line(format!(
            "  {:<13}{:>6} ms   {what}",
            taken.step.as_str(),
            taken.took.as_millis()
        ));
    }
    output.line("");
    if let (Some(receipt), Some(to)) = (&ending.receipt, ending.to) {
        let id = receipt
            .id()
            .map(|id| format!(" as {id}"))
            .unwrap_or_default();
        output.line(format!(
            "{} has the text for {}{id}.",
            receipt.provider(),
            to.masked()
        ));
    }
    if let Some(pass) = &ending.pass {
        let until = pass
            .valid_until
            .map(|until| until.format("%Y-%m-%d %H:%M UTC").to_string());
        let until = until.unwrap_or_else(|| "an unknown time".into());
        output.line(
            match (pass.revoked(), pass.may_be_usable_until().is_some()) {
                (true, _) => "The pass was revoked: nobody can sign in with it.".to_owned(),
                (false, true) => {
                    format!("The pass could not be revoked; it may be usable until {until}.")
                }
                (false, false) => format!("The pass works until {until}."),
            },
        );
    }
    output.line(match ending.verdict {
        Verdict::Completed => "The verdict: completed.".to_owned(),
        Verdict::Failed(reason) => format!("The verdict: failed, {}.", words(reason)),
    });
}

/// Writes the texts as the phone shows them.
pub(super) fn tell_phone(output: Output, messages: &[Value], ending: &Ending) {
    let usable =
        ending.receipt.is_some() && ending.pass.as_ref().is_some_and(|pass| !pass.revoked());
    for (index, message) in messages.iter().enumerate() {
        let last = index + 1 == messages.len();
        let pass = if usable && last {
            "its pass works"
        } else {
            "its pass was revoked"
        };
        output.line(format!(
            "\nWhat the phone shows, from {} ({} part(s); {pass}):\n",
            message["sender"].as_str().unwrap_or_default(),
            message["parts"]
        ));
        for line in wrapped(message["text"].as_str().unwrap_or_default(), 56) {
            output.line(format!("  | {line}"));
        }
    }
    if messages.is_empty() {
        output.line("\nThe phone shows nothing: no text was sent.");
    }
}

/// Writes what Entra heard about this flow.
pub(super) fn tell_entra(output: Output, resumes: &[Value], ending: &Ending) {
    let flow = ending.flow.to_string();
    let heard = resumes
        .iter()
        .rfind(|resume| resume["execution"] == flow.as_str());
    output.line(match heard {
        Some(resume) => {
            let heard = resume["status"]
                .as_str()
                .or(resume["detail"].as_str())
                .unwrap_or_default();
            format!(
                "\nWhat Entra heard: {heard} (answered {}).",
                resume["answered"]
            )
        }
        None => "\nEntra heard nothing: nothing waits there.".to_owned(),
    });
}

fn words(reason: FailureReason) -> String {
    reason.as_str().replace('_', " ")
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
