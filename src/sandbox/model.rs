//! The sandbox's own model: an OpenAI-compatible server on loopback that echoes. It needs no network and answers the
//! same to the same request, so that filters, actions and tools can be tried without a provider.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Its name in Open WebUI. No plugin has it: a hyphen is in no id.
pub const MODEL: &str = "echo-model";

/// How many connections are open at once. Others wait.
const MOST_CONNECTIONS: usize = 64;
/// Pictures travel inside of messages.
const LARGEST: usize = 16 << 20;
/// How many pieces a streamed answer has at most: each takes far more memory than its word.
const MOST_PIECES: usize = 500;
/// The type of a stream of events.
const STREAM: &str = "text/event-stream";
/// Schemas may nest, and may name themselves.
const DEEPEST: usize = 6;

/// A running model. Dropping it ends it.
pub(super) struct Model {
    /// The base of its API.
    pub(super) url: String,
    _task: JoinSet<()>,
}

impl Model {
    /// Listens on this port of the loopback interface, or on any if another program has it: connections that somebody
    /// adds in Open WebUI's settings keep the port of the first start.
    pub(super) async fn start(port: u16) -> io::Result<Self> {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let url = format!("http://127.0.0.1:{}/v1", listener.local_addr()?.port());
        let task = JoinSet::from_iter([serve(listener)]);
        Ok(Self { url, _task: task })
    }
}

async fn serve(listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(connection_slot) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle));
                // A client that hangs up has its reasons.
                tokio::spawn(async move {
                    connection.await.ok();
                    drop(connection_slot);
                });
            }
            // For example, too many files are open: the next try may succeed.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let (status, kind, text) = match (&head.method, head.uri.path()) {
        (&Method::GET, "/v1/models") => (StatusCode::OK, "application/json", models().to_string()),
        (&Method::POST, "/v1/chat/completions") => match read(body).await {
            Some(body) if body.get("stream") == Some(&Value::Bool(true)) => {
                (StatusCode::OK, STREAM, streamed(&Reply::to(&body), received(&body)))
            }
            Some(body) => (StatusCode::OK, "application/json", Reply::to(&body).whole(received(&body)).to_string()),
            None => (StatusCode::BAD_REQUEST, "application/json", error("the request is not JSON")),
        },
        _ => (StatusCode::NOT_FOUND, "application/json", error("the sandbox's model has no such route")),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    if kind == STREAM {
        // Open WebUI before 0.9 passes on a length, and then adds to the stream.
        response.headers_mut().insert(header::TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
    }
    Ok(response)
}

async fn read(body: Incoming) -> Option<Value> {
    let bytes = Limited::new(body, LARGEST).collect().await.ok()?.to_bytes();
    serde_json::from_slice(&bytes).ok()
}

/// The messages as they reached it. Its answers carry them in a field of their own, for the command `try`.
fn received(body: &Value) -> &Value {
    body.get("messages").unwrap_or(&Value::Null)
}

fn error(message: &str) -> String {
    json!({ "error": { "message": message } }).to_string()
}

fn models() -> Value {
    json!({ "object": "list", "data": [{ "id": MODEL, "object": "model", "created": 0, "owned_by": "owui-watch" }] })
}

/// What the model says.
#[derive(Debug, PartialEq)]
enum Reply {
    Text(String),
    Call { id: String, name: String, arguments: Value },
}

impl Reply {
    fn to(body: &Value) -> Self {
        let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let has_role = |message: &Value, role: &str| message.get("role").and_then(Value::as_str) == Some(role);
        let results = messages.iter().rev().take_while(|message| has_role(message, "tool")).count();
        if results > 0 {
            let results: Vec<_> = messages[messages.len() - results..].iter().map(text_of).collect();
            return Self::Text(results.join("\n"));
        }
        let said = messages.iter().rev().find(|message| has_role(message, "user")).map(text_of).unwrap_or_default();
        if let Some(answer) = task(&said) {
            return Self::Text(answer.to_string());
        }
        if let Some(results) = context(&said) {
            return Self::Text(results);
        }
        if let Some(tools) = messages.iter().filter(|message| has_role(message, "system")).find_map(described_tools) {
            let (_, query) = said.rsplit_once("Query: ").unwrap_or(("", &said));
            let calls: Vec<_> = choose(&tools, query)
                .map(|(name, arguments)| json!({ "name": name, "parameters": arguments }))
                .into_iter()
                .collect();
            return Self::Text(json!({ "tool_calls": calls }).to_string());
        }
        let forbidden = body.get("tool_choice").and_then(Value::as_str) == Some("none");
        let tools = body.get("tools").and_then(Value::as_array).filter(|_| !forbidden);
        let tools: Vec<_> = tools.into_iter().flatten().filter_map(|tool| tool.get("function").cloned()).collect();
        match choose(&tools, &said) {
            Some((name, arguments)) => Self::Call { id: format!("call_{}", messages.len()), name, arguments },
            None => Self::Text(said),
        }
    }

    fn message(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "role": "assistant", "content": text }),
            Self::Call { id, name, arguments } => json!({
                "role": "assistant",
                "content": null,
                "tool_calls": [{
                    "index": 0,
                    "id": id,
                    "type": "function",
                    "function": { "name": name, "arguments": arguments.to_string() },
                }],
            }),
        }
    }

    fn finish_reason(&self) -> &'static str {
        match self {
            Self::Text(_) => "stop",
            Self::Call { .. } => "tool_calls",
        }
    }

    fn whole(&self, received: &Value) -> Value {
        json!({
            "id": "chatcmpl-echo",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [{ "index": 0, "message": self.message(), "finish_reason": self.finish_reason() }],
            "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
            "received": received,
        })
    }
}

/// The same as events: a text word by word, a call at once.
fn streamed(reply: &Reply, received: &Value) -> String {
    let event = |delta: Value, finish_reason: Option<&str>| {
        let mut chunk = json!({
            "id": "chatcmpl-echo",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": MODEL,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
        });
        if finish_reason.is_some() {
            chunk["received"] = received.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let mut events = String::new();
    match reply {
        Reply::Text(text) => {
            events += &event(json!({ "role": "assistant", "content": "" }), None);
            let mut words = text.splitn(MOST_PIECES, ' ').peekable();
            while let Some(word) = words.next() {
                let space = if words.peek().is_some() { " " } else { "" };
                events += &event(json!({ "content": format!("{word}{space}") }), None);
            }
        }
        Reply::Call { .. } => events += &event(reply.message(), None),
    }
    events += &event(json!({}), Some(reply.finish_reason()));
    events + "data: [DONE]\n\n"
}

/// The text of a message, whose content may be a list of parts.
fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The answer to a task of the server's own, such as a title for the chat: it wants JSON of a certain shape.
fn task(said: &str) -> Option<Value> {
    if !said.starts_with("### Task:") || !said.contains("JSON format") {
        return None;
    }
    let first = said.lines().find_map(|line| line.trim().strip_prefix("USER: ")).unwrap_or("Chat");
    let title: String = first.chars().take(40).collect();
    Some(json!({ "title": title, "tags": [], "follow_ups": [], "queries": [], "text": "" }))
}

/// What tools have returned, where function calling is not native: the server puts it into the user's message.
fn context(said: &str) -> Option<String> {
    let (_, context) = said.strip_prefix("### Task:")?.split_once("<context>")?;
    let (context, _) = context.split_once("</context>")?;
    let sources =
        context.split("<source").skip(1).filter_map(|source| source.split_once('>')?.1.split_once("</source>"));
    let results: Vec<_> = sources.map(|(result, _)| result.trim()).collect();
    Some(results.join("\n"))
}

/// The tools that a server describes in a system message, as it does where function calling is not native.
fn described_tools(message: &Value) -> Option<Vec<Value>> {
    let text = text_of(message);
    let (_, tools) = text.split_once("Available Tools: ")?;
    serde_json::Deserializer::from_str(tools).into_iter::<Vec<Value>>().next()?.ok()
}

/// The tool that the message begins with or names, else the first one; and its arguments.
fn choose(tools: &[Value], said: &str) -> Option<(String, Value)> {
    let name = |tool: &Value| tool.get("name").and_then(Value::as_str).map(str::to_owned);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let words = |tool: &&Value| said.split(|c| !is_part(c)).position(|word| name(tool).as_deref() == Some(word));
    let named = tools.iter().filter(|tool| words(tool).is_some()).min_by_key(words);
    let tool = named.or_else(|| tools.first())?;
    let name = name(tool)?;
    let given = said.trim_start().strip_prefix(&name).and_then(|rest| {
        let object = serde_json::Deserializer::from_str(rest.trim_start()).into_iter::<Map<String, Value>>().next();
        object?.ok().map(Value::Object)
    });
    let none = Value::Null;
    let schema = tool.get("parameters").unwrap_or(&none);
    let arguments = given.unwrap_or_else(|| made(schema, schema, said, DEEPEST));
    // A tool without parameters is called with none.
    Some((name, if arguments.is_object() { arguments } else { json!({}) }))
}

/// A value that the schema takes. A text is what the user said.
fn made(schema: &Value, root: &Value, said: &str, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    let first = |key: &str| schema.get(key).and_then(Value::as_array).and_then(|values| values.first()).cloned();
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| made(target, root, said, depth));
    }
    if let Some(value) = schema.get("const").cloned().or_else(|| first("enum")).or_else(|| first("examples")) {
        return value;
    }
    if let Some(value) = schema.get("default") {
        return value.clone();
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let choices = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        let mut choices = choices.filter(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        if let Some(choice) = choices.next() {
            return made(choice, root, said, depth);
        }
    }
    let minimum = schema.get("minimum").cloned();
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => minimum.unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => match schema.get("items") {
            Some(items) => json!([made(items, root, said, depth)]),
            None => json!([]),
        },
        Some("null") => Value::Null,
        Some("object") => object(schema, root, said, depth),
        _ if schema.get("properties").is_some() => object(schema, root, said, depth),
        _ => match schema.get("format").and_then(Value::as_str) {
            Some("date") => json!("2026-01-01"),
            Some("date-time") => json!("2026-01-01T12:00:00Z"),
            _ => json!(said),
        },
    }
}

/// An object with the properties that it must have.
fn object(schema: &Value, root: &Value, said: &str, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let none = Value::Null;
    let property = |name: &str| schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&none);
    Value::Object(required.map(|name| (name.to_owned(), made(property(name), root, said, depth))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Value {
        json!({ "role": "user", "content": text })
    }

    fn tool(name: &str, parameters: &Value) -> Value {
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    }

    fn add() -> Value {
        let number = json!({ "type": "integer" });
        tool("add", &json!({ "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] }))
    }

    fn called(name: &str, arguments: Value) -> Reply {
        Reply::Call { id: "call_1".to_owned(), name: name.to_owned(), arguments }
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    #[test]
    fn it_answers_with_what_it_was_sent() {
        let system = json!({ "role": "system", "content": "Be brief." });
        let parts = json!({ "role": "user", "content": [
            { "type": "text", "text": "What is this?" },
            { "type": "image_url", "image_url": { "url": "data:," } },
        ] });
        let cases = [
            (json!({ "messages": [user("Hello")] }), text("Hello")),
            (
                json!({ "messages": [system, user("One"), { "role": "assistant", "content": "One" }, user("Two")] }),
                text("Two"),
            ),
            (json!({ "messages": [parts] }), text("What is this?")),
            (json!({ "messages": [] }), text("")),
            (json!({}), text("")),
            (json!({ "messages": "odd" }), text("")),
            (json!({ "messages": [user("Hello")], "tools": [] }), text("Hello")),
            (json!({ "messages": [user("Hello")], "tools": [add()], "tool_choice": "none" }), text("Hello")),
        ];
        for (body, expected) in cases {
            assert_eq!(Reply::to(&body), expected, "{body}");
        }
    }

    #[test]
    fn it_calls_a_tool_that_it_is_offered() {
        let now = tool("now", &json!({ "type": "object", "properties": {} }));
        let cases = [
            (r#"add {"a": 1, "b": 2}"#, called("add", json!({ "a": 1, "b": 2 }))),
            (r#"add {"a": 1}"#, called("add", json!({ "a": 1 }))),
            (r#" add{"a": 1} and more"#, called("add", json!({ "a": 1 }))),
            ("add", called("add", json!({ "a": 1, "b": 1 }))),
            ("please add these", called("add", json!({ "a": 1, "b": 1 }))),
            ("address", called("now", json!({}))),
            ("anything", called("now", json!({}))),
            ("now or add", called("now", json!({}))),
            ("add it now", called("add", json!({ "a": 1, "b": 1 }))),
            ("add {oops", called("add", json!({ "a": 1, "b": 1 }))),
        ];
        for (said, expected) in cases {
            let body = json!({ "messages": [user(said)], "tools": [now, add()] });
            assert_eq!(Reply::to(&body), expected, "{said}");
        }
    }

    #[test]
    fn it_answers_with_the_results_of_its_calls() {
        let call = json!({ "role": "assistant", "tool_calls": [] });
        let result = |text: &str| json!({ "role": "tool", "tool_call_id": "call_1", "content": text });
        let body = json!({ "messages": [user("add"), call, result("3"), result("4")], "tools": [add()] });
        assert_eq!(Reply::to(&body), text("3\n4"));
        // The next turn may call again.
        let body = json!({ "messages": [user("add"), call, result("3"), user("add")], "tools": [add()] });
        assert!(matches!(Reply::to(&body), Reply::Call { .. }));
    }

    #[test]
    fn tools_in_a_prompt_are_answered_in_the_prompts_form() {
        let prompt = format!("Available Tools: {}\n\nYour task is to choose", json!([add()["function"]]));
        let system = json!({ "role": "system", "content": prompt });
        let said = user("History:\nUSER: \"\"\"Hi\"\"\"\nQuery: add {\"a\": 1, \"b\": 2}");
        let expected = json!({ "tool_calls": [{ "name": "add", "parameters": { "a": 1, "b": 2 } }] });
        assert_eq!(Reply::to(&json!({ "messages": [system, said] })), Reply::Text(expected.to_string()));
        let said = "### Task:\nUse <source id=\"1\">.\n<context>\n<source id=\"1\" name=\"calc/add\">3</source>\n</context>\nadd";
        assert_eq!(Reply::to(&json!({ "messages": [user(said)] })), text("3"));
    }

    #[test]
    fn tasks_of_the_server_get_the_json_that_they_ask_for() {
        let prompt = "### Task:\nGenerate a title.\n### Output:\nJSON format: { \"title\": \"…\" }\n<chat_history>\nUSER: Hello \
                      there\n</chat_history>";
        let Reply::Text(answer) = Reply::to(&json!({ "messages": [user(prompt)] })) else { panic!() };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["title"], "Hello there");
        assert_eq!(answer["follow_ups"], json!([]));
    }

    #[test]
    fn arguments_fit_their_schema() {
        let defs = json!({ "Unit": { "enum": ["km", "mi"] }, "Loop": { "$ref": "#/$defs/Loop" } });
        let cases = [
            (json!({ "type": "string" }), json!("Hi")),
            (json!({}), json!("Hi")),
            (json!({ "type": "string", "format": "date" }), json!("2026-01-01")),
            (json!({ "type": "integer", "minimum": 5 }), json!(5)),
            (json!({ "type": "number" }), json!(1)),
            (json!({ "type": "boolean" }), json!(true)),
            (json!({ "type": "array", "items": { "type": "integer" } }), json!([1])),
            (json!({ "type": "array" }), json!([])),
            (json!({ "enum": ["a", "b"] }), json!("a")),
            (json!({ "const": 7 }), json!(7)),
            (json!({ "type": "integer", "default": 3 }), json!(3)),
            (json!({ "anyOf": [{ "type": "null" }, { "type": "integer" }] }), json!(1)),
            (json!({ "$ref": "#/$defs/Unit" }), json!("km")),
            (json!({ "$ref": "#/$defs/Loop" }), Value::Null),
            (json!({ "$ref": "elsewhere" }), Value::Null),
            (
                json!({ "type": "object", "properties": { "x": { "type": "null" } }, "required": ["x"] }),
                json!({ "x": null }),
            ),
        ];
        for (schema, expected) in cases {
            let root = json!({
                "type": "object",
                "properties": { "it": schema, "optional": { "type": "string" } },
                "required": ["it"],
                "$defs": defs,
            });
            assert_eq!(made(&root, &root, "Hi", DEEPEST), json!({ "it": expected }), "{schema}");
        }
    }

    #[test]
    fn a_stream_has_the_text_word_by_word() {
        let sent = json!([user("Hello there, you")]);
        let events = streamed(&text("Hello there, you"), &sent);
        let chunks: Vec<Value> = events
            .split_terminator("\n\n")
            .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).ok())
            .collect();
        let words: Vec<_> =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(words, ["", "Hello ", "there, ", "you"]);
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks.last().unwrap()["received"], sent);
        assert!(events.ends_with("data: [DONE]\n\n"));
        let call = streamed(&called("add", json!({ "a": 1 })), &sent);
        assert!(
            call.contains(r#""arguments":"{\"a\":1}""#) && call.contains(r#""finish_reason":"tool_calls""#),
            "{call}"
        );
    }

    async fn ask(request: reqwest::RequestBuilder) -> (u16, String) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn it_speaks_http() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let model = Model::start(0).await.unwrap();
        let url = model.url.clone();
        let (status, listed) = ask(client.get(format!("{url}/models"))).await;
        assert_eq!(status, 200);
        assert!(listed.contains(MODEL), "{listed}");
        let chat = |body: String| client.post(format!("{url}/chat/completions")).body(body);
        let (status, answer) = ask(chat(json!({ "messages": [user("Hello")] }).to_string())).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("Hello")));
        let (status, answer) = ask(chat(json!({ "messages": [user("Hello")], "stream": true }).to_string())).await;
        assert_eq!(status, 200);
        assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
        assert_eq!(ask(chat("{".to_owned())).await.0, 400);
        assert_eq!(ask(client.get(format!("{url}/elsewhere"))).await.0, 404);
        // A taken port is no obstacle.
        let port: u16 = url.trim_end_matches("/v1").rsplit(':').next().unwrap().parse().unwrap();
        assert_ne!(Model::start(port).await.unwrap().url, url);
        drop(model);
        tokio::task::yield_now().await;
        assert!(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    }
}
