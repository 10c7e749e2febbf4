//! The fake server's answers, in the forms of the real one and of proxies.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Said,
    pub(super) retry_after: Option<u64>,
    pub(super) location: Option<&'static str>,
    pub(super) date: Option<&'static str>,
    /// Whether it reports an exception of the plugin.
    pub(super) is_an_exception: bool,
}

#[derive(Debug)]
pub(super) enum Said {
    Json(Value),
    Page(String),
    Text(&'static str),
}

impl Answer {
    pub(super) fn new(status: u16, body: Said) -> Self {
        Self { status, body, retry_after: None, location: None, date: None, is_an_exception: false }
    }

    pub(super) fn json(value: Value) -> Self {
        Self::new(200, Said::Json(value))
    }

    pub(super) fn detail(status: u16, words: impl Into<String>) -> Self {
        Self::new(status, Said::Json(json!({ "detail": words.into() })))
    }

    /// JSON or a web page, by the look of the body.
    pub(super) fn saying(status: u16, body: &'static str) -> Self {
        let said = match serde_json::from_str(body) {
            Ok(json) => Said::Json(json),
            Err(_) if body.starts_with('<') => Said::Page(body.to_owned()),
            Err(_) => Said::Text(body),
        };
        Self::new(status, said)
    }

    /// The web app, or a proxy's page.
    pub(super) fn page(status: u16) -> Self {
        let title = match StatusCode::from_u16(status).unwrap() {
            StatusCode::OK => "Open WebUI".to_owned(),
            status => status.to_string(),
        };
        let page = format!("<!doctype html>\n<html>\n<head><title>{title}</title></head>\n</html>\n");
        Self::new(status, Said::Page(page))
    }

    pub(super) fn into_response(self) -> Response {
        let (content_type, body) = match self.body {
            Said::Json(value) => ("application/json", value.to_string()),
            Said::Page(page) => ("text/html; charset=utf-8", page),
            Said::Text(text) => ("text/plain; charset=utf-8", text.to_owned()),
        };
        let mut response = Response::builder().status(self.status).header(header::CONTENT_TYPE, content_type);
        if let Some(seconds) = self.retry_after {
            response = response.header(header::RETRY_AFTER, seconds);
        }
        if let Some(location) = self.location {
            response = response.header(header::LOCATION, location);
        }
        if let Some(date) = self.date {
            response = response.header(header::DATE, date);
        }
        if self.status == 500 {
            // As the real server after a failure.
            response = response.header(header::CONNECTION, "close");
        }
        response.body(Body::from(body)).unwrap()
    }
}

pub(super) fn missing(field: &str, body: &Value) -> Value {
    // It echoes the request, including the source.
    json!({ "type": "missing", "loc": ["body", field], "msg": "Field required", "input": body })
}

pub(super) fn unprocessable(problems: &Value) -> Answer {
    Answer::new(422, Said::Json(json!({ "detail": problems })))
}

pub(super) fn crashed() -> Answer {
    Answer::new(500, Said::Text("Internal Server Error"))
}

pub(super) fn nothing_there(method: &Method) -> Answer {
    if method == Method::GET { Answer::page(200) } else { Answer::detail(405, "Method Not Allowed") }
}
