//! Tests of who may do what: every route of the table with every scope, over the TCP door.

use std::collections::BTreeSet;

use super::*;
use crate::admin::routes::{Route, Routes};
use crate::config::Access;

/// A token for each scope, one for nothing, one that has ended and one with two hashes.
fn tokens() -> String {
    let lines = |name: &str, text: &str| format!("[admin.token.{name}]\nsha256 = {}\n{text}\n", hashes(&[name]));
    let mut toml: String =
        Access::ALL.iter().map(|scope| lines(scope.as_str(), &format!("scopes = [\"{scope}\"]"))).collect();
    toml.push_str(&lines("nothing", ""));
    toml.push_str(&lines("ended", &format!("scopes = [\"read\"]\nnot_after = {NOW}")));
    toml.push_str(&format!("[admin.token.two]\nsha256 = {}\nscopes = [\"read\"]\n", hashes(&["old", "new"])));
    toml
}

fn hashes(texts: &[&str]) -> String {
    let hash = |text: &&str| {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    format!("{:?}", texts.iter().map(hash).collect::<Vec<_>>())
}

/// A desk behind the TCP door.
struct Tcp {
    office: Office,
    router: Router,
}

impl Tcp {
    fn open() -> Self {
        let office = Office::open_with(&tokens());
        let router = router(&office.desk(), Door::Token);
        Self { office, router }
    }

    async fn ask(&self, token: Option<&str>, method: Method, path: &str) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path);
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Body::from("{}")).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("a router always answers");
        let status = response.status();
        let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
        let challenge = challenge.unwrap_or_default().to_owned();
        let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
        (status, challenge, String::from_utf8_lossy(&body).into_owned())
    }

    fn routes(&self) -> Vec<Route> {
        Routes::of(&Arc::new(self.office.desk())).table
    }
}

/// A path that leads to the route.
fn filled(path: &str) -> String {
    path.replace("{key}", "00").replace("{id}", "00").replace("{seq}", "7").replace("{alias}", "card:1")
}

#[tokio::test]
async fn every_route_is_opened_by_its_own_scope_and_by_no_other() {
    let tcp = Tcp::open();
    let routes = tcp.routes();
    for Route { access, method, path } in &routes {
        for scope in Access::ALL {
            let (status, challenge, said) = tcp.ask(Some(scope.as_str()), method.clone(), &filled(path)).await;
            if scope == *access {
                assert!(![401, 403, 405].contains(&status.as_u16()), "{scope} {method} {path}: {status} {said}");
                continue;
            }
            assert_eq!(status, StatusCode::FORBIDDEN, "{scope} {method} {path}");
            assert_eq!(challenge, format!("Bearer error=\"insufficient_scope\", scope=\"{access}\""));
            assert!(said.contains(&format!("admin token {scope} lacks the scope `{access}`")), "{said}");
        }
    }
    let used: BTreeSet<_> = routes.iter().map(|route| route.access).collect();
    assert_eq!(used, Access::ALL.into());
}

#[tokio::test]
async fn looking_at_people_and_changing_things_are_never_in_the_scope_of_looking() {
    let reading = ["/v1/events/find"];
    for Route { access, method, path } in Tcp::open().routes() {
        let is_write = method != Method::GET && !reading.contains(&path);
        assert!(!is_write || access != Access::Read, "{method} {path}");
        let shows_people = path.contains("customers") || path.ends_with("/reveal");
        assert!(!shows_people || access == Access::Pii, "{method} {path}");
    }
}

#[tokio::test]
async fn who_is_not_known_is_told_nothing_else() {
    let tcp = Tcp::open();
    for Route { method, path, .. } in tcp.routes() {
        for token in [None, Some(""), Some("reader"), Some("READ")] {
            let (status, challenge, _) = tcp.ask(token, method.clone(), &filled(path)).await;
            assert_eq!((status, challenge.as_str()), (StatusCode::UNAUTHORIZED, "Bearer"), "{method} {path} {token:?}");
        }
    }
    for (token, status) in [("nothing", 403), ("ended", 401), ("old", 200), ("new", 200), ("two", 401)] {
        assert_eq!(tcp.ask(Some(token), Method::GET, "/v1/pauses").await.0, status, "{token}");
    }
    let (_, challenge, said) = tcp.ask(Some("ended"), Method::GET, "/v1/pauses").await;
    assert!(said.contains("admin token ended has expired"), "{said}");
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    assert_eq!(tcp.ask(None, Method::GET, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_a_token_may_not_change_or_see_is_in_the_audit_with_its_name() {
    let tcp = Tcp::open();
    tcp.ask(Some("operate"), Method::GET, "/v1/status").await;
    assert_eq!(tcp.office.audit(), Vec::<Value>::new(), "who may not even look is in the log only");
    tcp.ask(Some("read"), Method::POST, "/v1/pauses").await;
    tcp.ask(Some("operate"), Method::GET, "/v1/customers/external_id:GT0042").await;
    let lines = tcp.office.audit();
    let told: Vec<_> = lines.iter().filter(|line| line["result"] == "refused").collect();
    assert_eq!(told.len(), 2, "{lines:?}");
    assert_eq!((&told[0]["who"], &told[0]["action"]), (&json!("admin token read"), &json!("scope")));
    assert_eq!(told[0]["about"], json!({"method": "POST", "path": "/v1/pauses", "scope": "operate"}));
    assert_eq!(told[1]["about"], json!({"method": "GET", "path": "/v1/customers/{alias}", "scope": "pii"}));
    assert_eq!(tcp.office.get("/v1/pauses").await, json!([]), "nothing was done");
}

#[tokio::test]
async fn what_a_token_changes_is_in_the_audit_with_its_name() {
    let tcp = Tcp::open();
    let request = Request::builder().method(Method::POST).uri("/v1/pauses").header("authorization", "Bearer operate");
    let body = Body::from(json!({"scope": "relay", "by": "asha"}).to_string());
    let answer = tcp.router.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let told: Vec<_> = tcp.office.audit().iter().map(|line| (line["who"].clone(), line["result"].clone())).collect();
    let who = json!("admin token operate");
    assert_eq!(told, [(who.clone(), json!("begun")), (who, json!("done"))]);
}

#[tokio::test]
async fn an_event_is_found_by_a_number_or_an_address_only_by_who_may_see_people() {
    let tcp = Tcp::open();
    let find = async |token: &str, value: &str| {
        let request = Request::builder().method(Method::POST).uri("/v1/events/find");
        let body = json!({"by": "customer", "value": value, "asker": "asha"}).to_string();
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(body));
        tcp.router.clone().oneshot(request.expect("a request")).await.expect("an answer").status().as_u16()
    };
    for (value, status) in [("external_id:GT0042", 200), ("mobile:+919812345678", 403), ("email:a@b.example", 403)] {
        assert_eq!(find("read", value).await, status, "{value}");
    }
    let both = Office::open_with(&format!(
        "[admin.token.both]\nsha256 = {}\nscopes = [\"read\", \"pii\"]\n",
        hashes(&["both"])
    ));
    let tcp = Tcp { router: router(&both.desk(), Door::Token), office: both };
    let found = async |value: &str| {
        let request = Request::builder().method(Method::POST).uri("/v1/events/find");
        let body = json!({"by": "customer", "value": value, "asker": "asha"}).to_string();
        let request = request.header("authorization", "Bearer both").body(Body::from(body));
        tcp.router.clone().oneshot(request.expect("a request")).await.expect("an answer").status().as_u16()
    };
    assert_eq!(found("mobile:+919812345678").await, 200);
    let lines = tcp.office.audit();
    let last = lines.last().expect("a line");
    assert_eq!((&last["who"], &last["by"]), (&json!("admin token both"), &json!("asha")));
    assert_eq!((&last["action"], &last["about"]), (&json!("vault.find"), &json!({"by": "phone"})));
}

#[test]
fn the_description_tells_every_call_about_people_and_reports_with_its_scope() {
    let office = Office::open();
    let described: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("it is JSON");
    let mut told = BTreeSet::new();
    for (path, operations) in described["paths"].as_object().expect("it has paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            told.insert((path.clone(), method.to_uppercase(), operation["security"].clone().to_string()));
            assert!(operation["responses"]["403"].is_object(), "{method} {path} does not tell of 403");
        }
    }
    let rooms = ["/v1/customers", "/v1/vault", "/v1/reports"];
    let described = |path: &str| rooms.iter().any(|room| path.starts_with(room));
    let routes = Routes::of(&Arc::new(office.desk())).table.into_iter().filter(|route| described(route.path));
    let known: BTreeSet<_> = routes
        .map(|route| {
            let security = json!([{"token": [route.access.as_str()]}]).to_string();
            (route.path.to_owned(), route.method.to_string(), security)
        })
        .collect();
    assert_eq!(told, known);
}
