//! Tests of the audit: every write of the desk, and both exits.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::ledger::{Delivery, Quarantined};

impl Office {
    pub(super) fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.storage().join("audit.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    async fn quarantine(&self, body: &'static str) -> u64 {
        let delivery = Delivery { source: "main".parse().expect("a source"), received_at: NOW, body: body.into() };
        let seq = self.house.ledger.append(delivery.clone()).await.expect("appended");
        let mut changes = Changes::new();
        let refusal = crate::event::Refusal::NotAnObject;
        changes.quarantine(Quarantined { seq, delivery, refusal });
        self.house.ledger.commit(changes).await.expect("committed");
        seq.0
    }
}

#[tokio::test]
async fn every_write_and_both_exits_are_in_the_audit_before_they_are_answered() {
    let office = Office::open();
    let waiting = office.plan(1, "welcome", dead()).await.to_string();
    office.plan(2, "points-issued", self::waiting(WaitReason::Brake)).await;
    let who = json!({"customer": "external_id:GT0042", "by": "asha"});
    let contact = json!({"external_id": "GT0042", "first_name": "Priya", "email": "priya@example.com"});
    let seqs = [office.quarantine("[]").await, office.quarantine("[]").await];
    let by = json!({"by": "asha"});
    let scope = json!({"scope": "template:welcome", "by": "asha", "reason": "Priya complained"});
    let end = json!({"scope": "template:welcome", "by": "asha"});
    let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
    let every: [(Method, String, Value, &str, u64); 13] = [
        (post.clone(), "/v1/vault/put".into(), json!({"contact": contact, "by": "asha"}), "vault.put", 1),
        (post.clone(), "/v1/vault/import".into(), json!({"rows": [contact, {}], "by": "asha"}), "vault.import", 1),
        (post.clone(), "/v1/vault/get".into(), who.clone(), "vault.get", 1),
        (post.clone(), "/v1/vault/delete".into(), who, "vault.delete", 1),
        (post.clone(), format!("/v1/quarantine/{}/reveal", seqs[0]), by.clone(), "quarantine.reveal", 1),
        (post.clone(), format!("/v1/quarantine/{}/redrive", seqs[0]), by.clone(), "quarantine.redrive", 1),
        (delete, format!("/v1/quarantine/{}", seqs[1]), by, "quarantine.drop", 1),
        (
            post.clone(),
            "/v1/notifications/requeue".into(),
            json!({"ids": [waiting], "by": "asha"}),
            "notifications.requeue",
            1,
        ),
        (
            post.clone(),
            "/v1/brake/release".into(),
            json!({"template": "points-issued", "by": "asha"}),
            "brake.release",
            1,
        ),
        (
            post.clone(),
            "/v1/notifications/cancel".into(),
            json!({"filter": {"template": "welcome"}, "by": "asha"}),
            "notifications.cancel",
            1,
        ),
        (post.clone(), "/v1/pauses".into(), scope, "pause", 1),
        (post, "/v1/pauses/end".into(), end, "resume", 0),
        (put, "/v1/mode".into(), json!({"mode": "shadow", "by": "asha"}), "mode", 1),
    ];
    for (n, (method, path, body, action, count)) in every.into_iter().enumerate() {
        let (status, answer) = office.ask(method, &path, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        let lines = office.audit();
        assert_eq!(lines.len(), 2 * (n + 1), "{path}");
        let (begun, ended) = (&lines[2 * n], &lines[2 * n + 1]);
        assert_eq!((&begun["action"], &begun["result"]), (&json!(action), &json!("begun")));
        assert_eq!(
            (&ended["action"], &ended["result"], &ended["count"]),
            (&json!(action), &json!("done"), &json!(count))
        );
        assert_eq!((&begun["id"], &begun["about"]), (&ended["id"], &ended["about"]));
        assert_eq!((&ended["by"], &ended["time"]), (&json!("asha"), &json!(NOW.to_string())));
        assert!(ended["who"].as_str().is_some_and(|who| who.starts_with("own process uid ")), "{ended}");
    }
    let path = office.storage().join("audit.log");
    let text = std::fs::read_to_string(&path).expect("the audit can be read");
    for person in ["Priya", "priya", "GT0042"] {
        assert!(!text.contains(person), "{text}");
    }
    assert_eq!(std::fs::metadata(path).expect("it exists").permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn what_is_refused_is_in_the_audit_as_refused() {
    let office = Office::open();
    office.refused(Method::POST, "/v1/vault/get", json!({"customer": "external_id:NOBODY"})).await;
    office.refused(Method::POST, "/v1/quarantine/7/reveal", json!({})).await;
    let lines = office.audit();
    let results: Vec<_> = lines.iter().map(|line| line["result"].as_str().expect("a word")).collect();
    assert_eq!(results, ["begun", "refused", "begun", "refused"]);
    assert_eq!((&lines[3]["about"]["seq"], &lines[3]["by"]), (&json!("7"), &json!("operator")));
    assert!(lines[1]["about"]["contact.alias"].as_str().is_some_and(|hash| hash.len() == 32), "{}", lines[1]);
}

#[tokio::test]
async fn nothing_is_done_that_cannot_be_audited() {
    let office = Office::open();
    // A directory in the file's place: root, too, cannot write to it.
    std::fs::create_dir(office.storage().join("audit.log")).expect("made");
    let (status, said) = office.refused(Method::POST, "/v1/pauses", json!({"scope": "relay"})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    insta::assert_snapshot!(said, @"audit.log in storage.dir cannot be written (is a directory), so nothing was done; mend its disk or its mode");
    assert_eq!(office.get("/v1/pauses").await, json!([]));
}

#[tokio::test]
async fn an_action_that_is_broken_off_says_so_itself() {
    let office = Office::open();
    let desk = office.desk();
    let entry = crate::admin::audit::Entry::new(
        crate::admin::audit::Action::ContactRead,
        &crate::admin::caller::Caller::of_the_house("local socket uid 7"),
        "asha",
    );
    let (reached, arrived) = tokio::sync::oneshot::channel();
    let never = async {
        let _ = reached.send(());
        std::future::pending::<Result<((), usize), crate::admin::AdminError>>().await
    };
    tokio::select! {
        _ = desk.audited(entry, never) => unreachable!("it never ends"),
        _ = arrived => {}
    }
    let lines = office.audit();
    assert_eq!((&lines[0]["result"], &lines[1]["result"]), (&json!("begun"), &json!("broken_off")));
    assert_eq!(lines[1]["who"], "local socket uid 7");
}

#[tokio::test]
async fn the_audit_knows_the_user_at_the_other_end_of_the_socket() {
    let office = Office::open();
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/pauses")
        .extension(crate::serve::Peer { uid: 1234 })
        .body(Body::from(r#"{"scope": "relay", "by": "somebody else"}"#))
        .expect("a request");
    office.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(office.audit()[1]["who"], "local socket uid 1234");
}
