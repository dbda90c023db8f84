//! Asks the page of a run.

use std::collections::HashMap;
use std::time::Duration;

use hands_web::{Action, List, RowOrder, Rows, State};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

/// So long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct TopClient {
    base: Url,
    token: String,
    client: Client,
    runtime: Runtime,
}

/// What became of an action.
#[derive(Deserialize)]
struct PageSaid {
    said: String,
}

/// What the page has sent.
pub(super) enum News {
    State(Box<State>),
    /// The run has ended: how, and what is left of its lists.
    End(Box<LastWords>),
}

#[derive(Deserialize)]
pub(super) struct LastWords {
    pub(super) frame: State,
    pub(super) lists: HashMap<List, Rows>,
}

impl News {
    /// From an event as it is sent: lines of `name: value`.
    fn of(event: &[u8]) -> Option<News> {
        let text = std::str::from_utf8(event).ok()?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim_start)
        };
        let data = value("data:")?;
        match value("event:") {
            Some("end") => serde_json::from_str(data).ok().map(News::End),
            _ => serde_json::from_str(data).ok().map(News::State),
        }
    }
}

impl TopClient {
    /// Of the page that has this link.
    pub(super) fn open(link: &str) -> Result<TopClient, String> {
        let link = link.trim();
        let url = Url::parse(link).map_err(|error| format!("`{link}` is no link: {error}"))?;
        let mut pairs = url.query_pairs();
        let token = pairs.find(|(name, _)| name == "token");
        let Some((_, token)) = token else {
            return Err(format!(
                "`{link}` has no token\n  hint: take the whole link that the run has printed"
            ));
        };
        let token = token.into_owned();
        let mut base = url.clone();
        base.set_query(None);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        Ok(TopClient {
            base,
            token,
            client,
            runtime,
        })
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, String> {
        let url = self.base.join(path).map_err(|error| error.to_string())?;
        Ok(self.client.request(method, url).bearer_auth(&self.token))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let request = self.request(Method::GET, path)?;
        self.runtime.block_on(async {
            let sent = request.send().await;
            let answer = sent.map_err(|_| self.nobody())?;
            if !answer.status().is_success() {
                let status = answer.status();
                let why = answer.text().await.unwrap_or_default();
                return Err(format!("the page answers {status}: {}", why.trim()));
            }
            let text = answer.bytes().await.map_err(|_| self.nobody())?;
            serde_json::from_slice(&text)
                .map_err(|_| "that is not a page of this version of hands".to_owned())
        })
    }

    fn nobody(&self) -> String {
        format!(
            "nobody answers at {}: the run has ended, perhaps",
            self.base
        )
    }

    pub(super) fn state(&self) -> Result<State, String> {
        self.get("state")
    }

    pub(super) fn rows(
        &self,
        list: List,
        order: RowOrder,
        from: usize,
        count: usize,
    ) -> Result<Rows, String> {
        let word = |value: serde_json::Result<String>| value.unwrap_or_default().replace('"', "");
        let what = word(serde_json::to_string(&list));
        let order = word(serde_json::to_string(&order));
        self.get(&format!(
            "list?what={what}&order={order}&from={from}&count={count}"
        ))
    }

    /// Hears how things stand, as often as that changes, until the run ends, or does not answer.
    pub(super) fn follow(&self, mut hear: impl FnMut(News)) -> Result<(), String> {
        let request = self.request(Method::GET, "events")?.timeout(Duration::MAX);
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|_| self.nobody())?;
            let mut answer = answer
                .error_for_status()
                .map_err(|error| error.to_string())?;
            let mut text = Vec::new();
            loop {
                let chunk = tokio::time::timeout(PATIENCE, answer.chunk()).await;
                let Ok(Ok(Some(chunk))) = chunk else {
                    return Err(self.nobody());
                };
                text.extend_from_slice(&chunk);
                while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                    let event: Vec<u8> = text.drain(..end + 2).collect();
                    match News::of(&event) {
                        Some(news @ News::End(_)) => {
                            hear(news);
                            return Ok(());
                        }
                        Some(news) => hear(news),
                        None => {}
                    }
                }
            }
        })
    }

    /// What it says of that.
    pub(super) fn act(&self, action: &Action) -> Result<String, String> {
        let request = self.request(Method::POST, "act")?;
        let body = serde_json::to_vec(action).map_err(|error| error.to_string())?;
        let request = request
            .header("content-type", "application/json")
            .body(body);
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|_| self.nobody())?;
            let is_done = answer.status().is_success();
            let text = answer.text().await.unwrap_or_default();
            let said = serde_json::from_str::<PageSaid>(&text).map_or(text, |said| said.said);
            if is_done { Ok(said) } else { Err(said) }
        })
    }
}
