//! What the real binary answers a shell: exit codes, and what it says beside them.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use sealpost::sink::smtp::{Act, Phase, SmtpScript};

use crate::process::Installation;
use crate::support::{self, KEY, PATIENCE, Setup, breath, customer_added, person};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_a_shell_what_to_do() {
    let relay = Installation::new(Setup::default()).await;
    assert_eq!(code(&relay.run(&["status"])), Some(1), "there is nothing yet");
    assert!(!relay.storage().exists(), "and nothing was made");
    assert_eq!(code(&relay.run(&["check"])), Some(0), "{}", said(&relay.run(&["check"])));
    assert_eq!(code(&relay.run(&["--json", "config", "show"])), Some(64));
    assert_eq!(code(&relay.run(&["no-such-command"])), Some(64));
    relay.must(&["mode", "shadow", "--for", "template:welcome"]);
    assert_eq!(code(&relay.run(&["resume", "org:1"])), Some(1));

    let keys = relay.dir.path().join("keys");
    std::fs::remove_file(&keys).expect("removed");
    relay.must(&["keys", "init"]);
    for command in [&["status"][..], &["run"], &["--json", "pauses"]] {
        let refused = relay.run(command);
        assert_eq!(code(&refused), Some(78), "{command:?}: {}", said(&refused));
        assert!(said(&refused).contains("was made with another key file"), "{}", said(&refused));
        assert!(refused.stdout.is_empty());
    }
    std::fs::write(&keys, "garbage").expect("written");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("mode set");
    assert_eq!(code(&relay.run(&["keys", "status"])), Some(78));
    let checked = relay.run(&["--json", "check"]);
    assert_eq!(code(&checked), Some(78));
    let faults: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON on standard output");
    assert_eq!(faults["faults"][0]["key"], "keys.file", "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_told_to_try_again() {
    let mut relay = Installation::new(Setup::default()).await;
    relay.start().await;
    let second = relay.run(&["run"]);
    assert_eq!(code(&second), Some(75), "{}", said(&second));
    assert!(relay.must(&["status"]).contains("mode live"), "the first one goes on");
    assert!(relay.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_during_a_drain_is_told_that_the_daemon_stops() {
    // A server that says nothing keeps a send, and with it the drain, under way for its whole timeout.
    let smtp = SmtpScript::new().at(Phase::Rcpt, Act::Stall);
    let mut relay = Installation::new(Setup { smtp, timeout: Some("60s"), ..Setup::default() }).await;
    relay.start().await;
    let put = serde_json::json!({ "contact": person(1) });
    assert_eq!(relay.ask("POST", "/v1/vault/put", Some(put)).await.0, 200);
    let event = customer_added("slow", 1).to_string();
    assert_eq!(support::deliver(relay.intake, KEY, event.as_bytes()).await.expect("answered").0, 200);
    let sending = async {
        while relay.smtp.reached(Phase::Rcpt) == 0 {
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("a mail is under way");
    relay.tell_to_stop();
    let stopped_listening = async {
        while relay.answers().await {
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped_listening).await.expect("a daemon that drains takes no commands");
    let refused = relay.run(&["status"]);
    assert_eq!(code(&refused), Some(75), "{}", said(&refused));
    assert!(said(&refused).contains("the daemon is stopping"), "{}", said(&refused));
    relay.kill();
    assert!(relay.run(&["status"]).status.success(), "afterwards the command opens the stores itself");
}
