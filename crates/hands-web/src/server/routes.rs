//! What is asked for, and the answers.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Shared, guard, stream};
use crate::ledger::{List, RowOrder};
use crate::source::Action;

/// Bytes that may be sent to the page at once: many links.
const BODY: usize = 4 << 20;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The files of the page: they are in the program.
const FILES: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("../../assets/page.html")),
    ("/page.css", STYLE, include_str!("../../assets/page.css")),
    ("/page.js", SCRIPT, include_str!("../../assets/page.js")),
    ("/lists.js", SCRIPT, include_str!("../../assets/lists.js")),
    ("/uplot.css", STYLE, include_str!("../../assets/uplot.css")),
    ("/uplot.js", SCRIPT, include_str!("../../assets/uplot.js")),
    (
        "/favicon.ico",
        PICTURE,
        include_str!("../../assets/icon.svg"),
    ),
];

pub(super) fn all(shared: &Arc<Shared>) -> Router {
    let mut routes = Router::new()
        .route("/events", get(stream::events))
        .route("/state", get(state))
        .route("/list", get(list))
        .route("/metrics", get(metrics))
        .route("/act", post(act));
    for (path, kind, text) in FILES {
        let file = move || async move { ([(CONTENT_TYPE, kind)], text) };
        routes = routes.route(path, get(file));
    }
    routes
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(Arc::clone(&shared.guard), guard::check))
        .with_state(Arc::clone(shared))
}

async fn state(State(shared): State<Arc<Shared>>) -> Response {
    let frame = shared.frame();
    ([(CONTENT_TYPE, "application/json")], frame.to_string()).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let Some(mut watched) = shared.watched() else {
        return at_work();
    };
    watched.update();
    let text = watched.ledger.prometheus();
    drop(watched);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Deserialize)]
struct Part {
    what: List,
    #[serde(default)]
    from: usize,
    #[serde(default)]
    count: usize,
    #[serde(default)]
    order: RowOrder,
}

async fn list(State(shared): State<Arc<Shared>>, Query(part): Query<Part>) -> Response {
    let Some(watched) = shared.watched() else {
        return at_work();
    };
    let rows = watched
        .ledger
        .rows(part.what, part.order, part.from, part.count);
    drop(watched);
    Json(rows).into_response()
}

fn at_work() -> Response {
    let why = "what this page watches is at work; ask again";
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

/// What became of an action.
#[derive(Serialize)]
struct ActionAnswer {
    said: String,
}

/// Elsewhere: it may take a while, and pages are not to wait for it.
async fn act(State(shared): State<Arc<Shared>>, Json(action): Json<Action>) -> Response {
    let acted = tokio::task::spawn_blocking(move || {
        let mut watched = shared.watched.lock();
        watched.ask(|source, ledger| source.act(action, ledger))
    });
    let (status, said) = match acted.await {
        Ok(Some(Ok(said))) => (StatusCode::OK, said),
        Ok(Some(Err(refused))) => (StatusCode::CONFLICT, refused.to_string()),
        Ok(None) | Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "it panicked, which is a mistake in this program".to_owned(),
        ),
    };
    (status, Json(ActionAnswer { said })).into_response()
}
