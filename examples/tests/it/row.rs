use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use postduif_sandbox::{CalloutKind, Cast, FaultSpec, Sandbox};
use serde_json::{Value, json};

/// What a row does to a call-out before it is given.
pub(crate) type Change = fn(&mut Value);

/// One run of an example: what it is given, and what must come of it.
///
/// In the arguments, `{kpn}` and the like are the connection URLs of a sandbox of the row's own, `{sandbox}` is
/// its address, `{closed}` a KPN where nobody listens, and `{file}` is the row's file.
pub(crate) struct Row {
    pub(crate) args: &'static [&'static str],
    /// The value of `SMS_URL`; it is not set where this is `None`.
    pub(crate) sms_url: Option<&'static str>,
    pub(crate) file: Option<Vec<u8>>,
    /// The file is the sandbox's call-out about its joiner, changed by this.
    pub(crate) callout: Option<(CalloutKind, Change)>,
    pub(crate) input: &'static [u8],
    /// Faults of the sandbox, as `AT=FAULT*TIMES`.
    pub(crate) faults: &'static [&'static str],
    pub(crate) exit: i32,
    /// The documents on stdout, as shapes; see [`fits`]. `None` where people's words are expected.
    pub(crate) prints: Option<Value>,
    /// What stdout has among other words.
    pub(crate) tells: &'static [&'static str],
    /// What stderr has among other words; empty means that nothing is on stderr. Logs are off.
    pub(crate) complains: &'static [&'static str],
    /// The texts that the sandbox's vendors have afterwards, as shapes of `[vendor, to, text]`.
    pub(crate) texts: Option<Value>,
    pub(crate) example: &'static str,
}

pub(crate) fn row(example: &'static str) -> Row {
    Row {
        args: &[],
        sms_url: None,
        file: None,
        callout: None,
        input: b"",
        faults: &[],
        exit: 0,
        prints: None,
        tells: &[],
        complains: &[],
        texts: None,
        example,
    }
}

/// A table of rows: each becomes a test of its name.
macro_rules! rows {
    ($($name:ident => $row:expr;)+) => {
        $(
            #[test]
            fn $name() {
                ($row).holds(stringify!($name));
            }
        )+
    };
}
pub(crate) use rows;

/// The document of wrong use or configuration.
pub(crate) fn config_error() -> Value {
    json!({"error": {"kind": "config", "message": "<words>"}})
}

/// The document of a failed send.
pub(crate) fn failed(error: &Value) -> Value {
    let mut whole = json!({
        "kind": "<text>", "acceptance": "not_accepted", "provider": "<text>", "code": null,
        "retry_after_ms": null, "may_resend": false, "may_reroute": true, "message": "<words>",
    });
    for (name, value) in error.as_object().unwrap() {
        whole[name] = value.clone();
    }
    json!({"accepted": false, "error": whole})
}

impl Row {
    #[track_caller]
    pub(crate) fn holds(self, name: &str) {
        let (sandbox, runtime) = self.world();
        let file = match (&self.file, self.callout, &sandbox) {
            (Some(body), ..) => Some(write(name, body)),
            (None, Some((kind, change)), Some(sandbox)) => {
                let mut body = sandbox.callout(Cast::JOINER, kind).unwrap().body;
                change(&mut body);
                Some(write(name, body.to_string().as_bytes()))
            }
            _ => None,
        };
        let place = |argument: &str| {
            let filled = file.as_ref().map_or_else(
                || argument.to_owned(),
                |file| argument.replace("{file}", &file.to_string_lossy()),
            );
            sandbox
                .as_ref()
                .map_or(filled.clone(), |sandbox| fill(&filled, sandbox))
        };
        let args: Vec<_> = self.args.iter().map(|argument| place(argument)).collect();
        let mut command = Command::new(built(self.example));
        command.args(&args).env("RUST_LOG", "off");
        match self.sms_url {
            Some(url) => command.env("SMS_URL", place(url)),
            None => command.env_remove("SMS_URL"),
        };
        for variable in ["ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET"] {
            command.env_remove(variable);
        }
        let output = answer(command, self.input);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let all = format!("{} {args:?}\n{stdout}\n{stderr}", self.example);

        assert_eq!(output.status.code(), Some(self.exit), "{all}");
        if let Some(shapes) = &self.prints {
            let documents: Vec<Value> = stdout
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {all}")))
                .collect();
            if let Err(fault) = fits(shapes, &Value::Array(documents)) {
                panic!("{fault}\n{all}");
            }
        }
        for words in self.tells {
            assert!(stdout.contains(words), "{words:?} is not told\n{all}");
        }
        for words in self.complains {
            assert!(stderr.contains(words), "{words:?} is not on stderr\n{all}");
        }
        if self.complains.is_empty() {
            assert_eq!(stderr, "", "{all}");
        }
        if let Some(shapes) = &self.texts {
            let sent = sandbox.as_ref().expect("a row with texts names a vendor");
            let texts = sent
                .messages()
                .iter()
                .map(|message| json!([message.vendor, message.to, message.text]))
                .collect();
            if let Err(fault) = fits(shapes, &texts) {
                panic!("texts: {fault}\n{all}");
            }
        }
        drop((sandbox, runtime));
    }

    /// The sandbox, where the row asks for one.
    fn world(&self) -> (Option<Sandbox>, Option<tokio::runtime::Runtime>) {
        let mut given = self.args.iter().copied().chain(self.sms_url);
        if !given.any(|argument| argument.replace("{file}", "").contains('{')) {
            assert!(self.faults.is_empty(), "faults belong to a row's sandbox");
            return (None, None);
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sandbox = runtime.block_on(Sandbox::start());
        for fault in self.faults {
            let spec: FaultSpec = fault.parse().unwrap();
            sandbox.set_fault(spec.ms(250)).unwrap();
        }
        (Some(sandbox), Some(runtime))
    }
}

fn fill(argument: &str, sandbox: &Sandbox) -> String {
    let mut filled = argument.replace("{sandbox}", &sandbox.url()).replace(
        "{closed}",
        "kpn://sandbox:sandbox@127.0.0.1:1?sender=Postduif",
    );
    for vendor in Sandbox::vendors() {
        filled = filled.replace(&format!("{{{vendor}}}"), &sandbox.sms_url(vendor));
    }
    assert!(!filled.contains('{'), "{filled}");
    filled
}

fn write(name: &str, body: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("examples.{name}"));
    fs::write(&path, body).unwrap();
    path
}

/// The built example: cargo puts it beside the folder of the tests.
pub(crate) fn built(example: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let path = folder.join(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{example} is not built: run `cargo test -p postduif-examples`, which builds the examples first"
    );
    path
}

fn answer(mut command: Command, input: &[u8]) -> std::process::Output {
    let mut child = command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // One that reads no input may be gone before it is written.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).unwrap()
}

/// Whether a value has a shape: the same members, and each the same, but for these.
///
/// | in the shape | in the value |
/// |---|---|
/// | `<text>` | a text that is not empty |
/// | `<words>` | a text of several words |
/// | `<reference>` | 1 to 32 letters and digits |
/// | `<number>` | a whole number from 0 |
/// | `<flag>` | true or false |
/// | `<time>` | a time in RFC 3339, UTC |
/// | `…text` | a text that ends so, with something in front |
fn fits(shape: &Value, value: &Value) -> Result<(), String> {
    let fault = || Err(format!("expected {shape}, found {value}"));
    match (shape, value) {
        (Value::Object(shape), Value::Object(members)) => {
            if let Some(name) = members.keys().find(|name| !shape.contains_key(*name)) {
                return Err(format!("no {name} belongs there: {value}"));
            }
            for (name, shape) in shape {
                let Some(member) = members.get(name) else {
                    return Err(format!("no {name} is there: {value}"));
                };
                fits(shape, member)?;
            }
            Ok(())
        }
        (Value::Array(shapes), Value::Array(items)) if shapes.len() == items.len() => shapes
            .iter()
            .zip(items)
            .try_for_each(|(shape, item)| fits(shape, item)),
        (Value::String(shape), value) => {
            let text = value.as_str().unwrap_or_default();
            let is_good = match shape.as_str() {
                "<text>" => !text.is_empty(),
                "<words>" => text.split_whitespace().count() > 1,
                "<reference>" => {
                    (1..=32).contains(&text.len())
                        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
                }
                "<number>" => value.is_u64(),
                "<flag>" => value.is_boolean(),
                "<time>" => {
                    let time = chrono::DateTime::parse_from_rfc3339(text);
                    time.is_ok_and(|time| time.offset().local_minus_utc() == 0)
                }
                shape => match shape.strip_prefix('…') {
                    Some(end) => text.len() > end.len() && text.ends_with(end),
                    None => text == shape,
                },
            };
            if is_good { Ok(()) } else { fault() }
        }
        (shape, value) if shape == value => Ok(()),
        _ => fault(),
    }
}
