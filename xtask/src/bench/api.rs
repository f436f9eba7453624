//! What somebody does before going live, over REST.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::http::call;

const PASSWORD: &str = "correct horse battery";

/// Somebody who is signed in.
pub(super) struct Api {
    base: String,
    token: String,
}

impl Api {
    /// Registers an account and signs in.
    pub(super) fn sign_up(base: &str) -> Result<Self> {
        let email = "bench@example.com";
        let account = json!({"account": {"email": email, "display_name": "Bench"}, "password": PASSWORD});
        call("POST", base, "/v1/accounts", None, Some(&account))?;
        let login = json!({"email": email, "password": PASSWORD});
        let answer = call("POST", base, "/v1/sessions:login", None, Some(&login))?;
        Ok(Self {
            base: base.to_owned(),
            token: text(&answer, "/tokens/access_token")?,
        })
    }

    /// Creates a channel and returns its name.
    pub(super) fn channel(&self, number: u32) -> Result<String> {
        let channel = json!({"handle": format!("bench{number}"), "display_name": format!("Bench {number}")});
        text(&self.post("/v1/channels", &channel)?, "/channel/name")
    }

    /// Schedules an event and returns its name.
    pub(super) fn event(&self, channel: &str, title: &str, description: &str) -> Result<String> {
        let start = "2099-12-31T20:00:00Z";
        let event = json!({"title": title, "description": description, "scheduled_start_time": start});
        text(
            &self.post(&format!("/v1/{channel}/events"), &event)?,
            "/event/name",
        )
    }

    /// Creates a stream key and returns its secret.
    pub(super) fn stream_key(&self, channel: &str) -> Result<String> {
        text(
            &self.post(&format!("/v1/{channel}/streamKeys"), &json!({}))?,
            "/secret",
        )
    }

    /// How many streams are on the air (of at most 200).
    pub(super) fn live_streams(&self) -> Result<usize> {
        let path = "/v1/liveStreams?state=LIVE_STREAM_STATE_LIVE&page_size=200";
        let answer = call("GET", &self.base, path, None, None)?;
        Ok(answer
            .pointer("/live_streams")
            .and_then(Value::as_array)
            .map_or(0, Vec::len))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        call("POST", &self.base, path, Some(&self.token), Some(body))
    }
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no {pointer} in the answer"))?
        .to_owned())
}
