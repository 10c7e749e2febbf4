//! A save that the server refuses leaves the running function as it was, on every version: on with the text that it had.
//! The same test on fake servers and on real ones.

use owui_watch::engine::exchange::{Call, Reply, Row};
use owui_watch::plugin::{Key, Kind, id::PluginId};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::command::{Project, filter};
use crate::support::fake_server::{FakeServer, Version};
use crate::support::{Login, Server, real_server};

const A: &str = "plugins/a.py";

async fn row(server: &Server) -> Row {
    let key = Key { kind: Kind::Function, id: PluginId::new("a").unwrap() };
    match server.client().call(Call::Get(key)).await {
        Reply::Row(row) => *row,
        reply => panic!("{reply:?}"),
    }
}

/// Deploys, switches it on, saves what the server refuses, and looks.
async fn a_refusal_changes_nothing(server: &Server, version: Version) {
    let key = server.key.as_ref().unwrap().expose_secret();
    let project = Project::new().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", key);
    project.put(A, filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    assert_eq!(server.post("/api/v1/functions/id/a/toggle", &Value::Null).await.0, 200);
    assert_eq!(server.post("/api/v1/functions/id/a/toggle/global", &Value::Null).await.0, 200);
    let before = row(server).await;
    assert_eq!(before.is_active, Some(true));

    project.put(A, format!("{}import no_such_module\n", filter("2")));
    let ran = project.run(&["--once", "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    let notices = ran.notices();
    let said: Vec<_> = notices.iter().filter(|notice| notice["id"] == "a").map(|notice| &notice["event"]).collect();
    // Since 0.12 the server leaves it as it was by itself.
    let expected = if version == Version::V0_12_4 {
        json!(["sending", "refused"])
    } else {
        json!(["sending", "refused", "restored"])
    };
    assert_eq!(json!(said), expected, "{}", ran.stdout);
    assert_eq!(row(server).await, before);
    let (_, global) = server.get("/api/v1/functions/id/a").await;
    assert_eq!(global["is_global"], true);
}

#[tokio::test]
async fn on_the_fakes() {
    for version in [Version::V0_6_43, Version::V0_9_6, Version::V0_11_4, Version::V0_12_4] {
        let fake = FakeServer::of(version);
        a_refusal_changes_nothing(&Server::fake(&fake), version).await;
    }
}

async fn on_a_real(version: Version) {
    let real = real_server(version, Login::Asked).await;
    a_refusal_changes_nothing(&Server::real(&real), version).await;
    real.stop();
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_6_43() {
    on_a_real(Version::V0_6_43).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_9_6() {
    on_a_real(Version::V0_9_6).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_11_4() {
    on_a_real(Version::V0_11_4).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_12_4() {
    on_a_real(Version::V0_12_4).await;
}
