//! A sandbox's control calls.

use postduif::{
    Guid,
    http::{BaseUrl, Client, Request},
};
use postduif_sandbox::{Cast, FaultSpec};
use serde_json::{Value, json};

use super::Stop;

/// A sandbox, in this process or another.
pub(super) struct World {
    client: Client,
    base: BaseUrl,
    /// The document of `GET /_sandbox`.
    about: Value,
}

impl World {
    pub(super) async fn join(client: Client, url: &str) -> Result<Self, Stop> {
        let mut world = Self {
            client,
            base: BaseUrl::parse(url)?,
            about: Value::Null,
        };
        world.about = world.get("").await?;
        Ok(world)
    }

    async fn get(&self, what: &str) -> Result<Value, Stop> {
        // Room for everything that a sandbox has gathered.
        self.call(Request::get(&self.base, &format!("/_sandbox/{what}")).with_messages(10_000))
            .await
    }

    pub(super) async fn post(&self, what: &str, body: &Value) -> Result<Value, Stop> {
        self.call(Request::post(&self.base, &format!("/_sandbox/{what}")).with_json(body))
            .await
    }

    async fn call(&self, request: Request) -> Result<Value, Stop> {
        let response = self.client.send(request).await.map_err(|_| {
            Stop::config("no sandbox responds there: start one, or leave out --sandbox")
        })?;
        let body = response
            .body()
            .map_err(|_| Stop::config("the sandbox's response broke off"))?;
        let document: Value = serde_json::from_slice(body)
            .map_err(|_| Stop::config("what responds there is not a sandbox"))?;
        if response.is_success() {
            Ok(document)
        } else {
            Err(Stop::config(format!(
                "the sandbox refused: {}",
                document["error"].as_str().unwrap_or("no reason")
            )))
        }
    }

    pub(super) async fn set_fault(&self, fault: &str) -> Result<(), Stop> {
        let spec: FaultSpec = fault
            .parse()
            .map_err(|error| Stop::config(format!("--fault: {error}")))?;
        self.post("faults", &json!(spec)).await.map(drop)
    }

    pub(super) async fn list(&self, what: &str) -> Result<Vec<Value>, Stop> {
        match self.get(what).await? {
            Value::Array(list) => Ok(list),
            _ => Err(Stop::config("what responds there is not a sandbox")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Stop> {
        self.about[name]
            .as_str()
            .ok_or_else(|| Stop::config("what responds there is not a sandbox"))
    }

    pub(super) fn sms_url(&self, vendor: &str) -> Result<String, Stop> {
        self.about["urls"][vendor]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Stop::config(format!("the sandbox does not simulate {vendor}")))
    }

    pub(super) fn base(&self, name: &str) -> Result<BaseUrl, Stop> {
        Ok(BaseUrl::parse(self.text(name)?)?)
    }

    pub(super) fn joiner(&self) -> Result<Guid, Stop> {
        Cast::JOINER
            .parse()
            .map_err(|_| Stop::config("invalid joiner of the sandbox: a user has a GUID"))
    }
}
