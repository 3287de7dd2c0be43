//! Tests of commands from the words typed to the words printed, asking a desk in this process.

use std::path::PathBuf;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::*;
use crate::admin::tests::{Office, configure, dead, waiting};
use crate::policy::WaitReason;
use crate::seal::Keyring;

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    Args::try_parse_from(["sealpost"].iter().chain(words))
}

/// Types a command.
async fn say(client: &Client, words: &[&str]) -> anyhow::Result<Said> {
    let args = parse(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    ask(client, args.command, "asha").await
}

async fn text(client: &Client, words: &[&str]) -> String {
    say(client, words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}")).text
}

async fn refused(client: &Client, words: &[&str]) -> String {
    match say(client, words).await {
        Ok(said) => panic!("{words:?} was taken: {}", said.text),
        Err(error) => print::chain(&error),
    }
}

fn desk(office: &Office) -> Client {
    Client::Own { house: office.house.clone(), router: office.router.clone() }
}

async fn trip(office: &Office) {
    let points = "points-issued".parse().unwrap();
    let now = office.house.clock.now();
    for _ in 0..3 {
        office.house.control.brake_admits(&points, 2, now).await.unwrap();
    }
    office.plan(1, "points-issued", waiting(WaitReason::Brake)).await;
}

#[test]
fn the_grammar_of_the_command_line_holds_together() {
    Args::command().debug_assert();
}

#[test]
fn render_and_explain_take_the_configuration_that_every_command_takes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sealpost.toml");
    std::fs::write(&file, "[templates]\ndir = \"/somewhere\"\n").unwrap();
    let env = BTreeMap::from([("SEALPOST_CONFIG".to_owned(), file.display().to_string())]);
    for (given, env) in [(Some(file.as_path()), &BTreeMap::new()), (None, &env)] {
        let config = load_for_render(given, env).unwrap().expect("it is found");
        assert_eq!(config.templates.dir.as_deref(), Some(Path::new("/somewhere")));
    }
    let missing = BTreeMap::from([("SEALPOST_CONFIG".to_owned(), dir.path().join("none").display().to_string())]);
    assert!(load_for_render(None, &missing).is_err(), "a file that was named and is not there is a fault");
}

#[tokio::test]
async fn the_status_is_one_screen() {
    let office = Office::open();
    let client = desk(&office);
    trip(&office).await;
    office.plan(2, "welcome", dead()).await;
    office.plan(3, "welcome", waiting(WaitReason::ContactUnknown)).await;
    text(&client, &["pause", "channel:sms", "--reason", "the gateway moves"]).await;
    text(&client, &["mode", "pilot", "--for", "template:welcome"]).await;
    let status = say(&client, &["status"]).await.unwrap();
    insta::assert_snapshot!(status.text.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r"
    sealpost VERSION  mode live  intake not running
    journal: 0 received, 0 planned
    vault: 0 contacts, 0 aliases
    dead letters: 1
    quarantine: 0
    mode set: template:welcome pilot by asha
    paused: channel:sms since 2026-10-27T09:19:57.616Z by asha: the gateway moves
    brake tripped: points-issued since 2026-10-27T09:19:57.616Z, limit 2 an hour, holds 1
    waiting: 1 brake
    waiting: 1 contact_unknown
    ");
    assert_eq!(status.json, office.get("/v1/status").await, "--json prints the relay's own answer");
}

#[tokio::test]
async fn pauses_modes_and_brakes_are_lists_that_people_can_read() {
    let office = Office::open();
    let client = desk(&office);
    assert_eq!(text(&client, &["pauses"]).await, "nothing is paused");
    assert_eq!(text(&client, &["brake", "list"]).await, "no brake has tripped");
    insta::assert_snapshot!(text(&client, &["pause", "org:41007"]).await, @"org:41007 is paused since 2026-10-27T09:19:57.616Z by asha; what is due waits until `sealpost resume org:41007`");
    text(&client, &["pause", "template:welcome", "--reason", "typo"]).await;
    insta::assert_snapshot!(text(&client, &["pauses"]).await, @r"
    scope             since                     by    reason
    org:41007         2026-10-27T09:19:57.616Z  asha  -
    template:welcome  2026-10-27T09:19:57.616Z  asha  typo
    ");
    insta::assert_snapshot!(text(&client, &["resume", "org:41007"]).await, @"resumed org:41007; 0 back in the queue");
    insta::assert_snapshot!(refused(&client, &["resume", "org:41007"]).await, @"this scope is not paused; paused: template:welcome");

    trip(&office).await;
    insta::assert_snapshot!(text(&client, &["brake", "list"]).await, @r"
    template       tripped                   held  in the hour  last release
    points-issued  2026-10-27T09:19:57.616Z  1     2 of 2       -
    ");
    insta::assert_snapshot!(text(&client, &["brake", "release", "points-issued"]).await, @"released points-issued; 1 back in the queue");
    insta::assert_snapshot!(text(&client, &["brake", "list", "--all"]).await, @r"
    template       tripped  held  in the hour  last release
    points-issued  -        0     0 of 2       2026-10-27T09:19:57.616Z by asha
    welcome        -        0     0 of 5000    -
    ");

    insta::assert_snapshot!(text(&client, &["mode", "shadow", "--for", "template:welcome"]).await, @r"
    relay: live
    points-issued/0: live
    welcome/0: shadow
    set for template:welcome: shadow by asha
    ");
    insta::assert_snapshot!(text(&client, &["mode", "default", "--for", "template:welcome"]).await, @r"
    relay: live
    points-issued/0: live
    welcome/0: live
    ");
}

#[tokio::test]
async fn every_command_that_asks_has_an_answer_for_machines() {
    let office = Office::open();
    let client = desk(&office);
    let contact = office.storage().join("contact.json");
    std::fs::write(&contact, json!({"external_id": "GT1", "first_name": "Asha"}).to_string()).unwrap();
    let contact = contact.display().to_string();
    for (words, field) in [
        (&["vault", "put", &contact][..], "linked"),
        (&["vault", "get", "external_id:GT1"], "contact"),
        (&["vault", "stats"], "contacts"),
        (&["vault", "delete", "external_id:GT1"], "deleted"),
        (&["mode"], "relay"),
        (&["mode", "pilot"], "relay"),
        (&["brake", "list"], ""),
        (&["pause", "relay"], "/0/scope"),
        (&["pauses"], "/0/scope"),
        (&["resume", "relay"], "released"),
        (&["status"], "mode"),
        (&["notifications", "list"], "notifications"),
        (&["dead-letters", "requeue", "--all"], "changed"),
    ] {
        let json = say(&client, words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}")).json;
        let found = if field.starts_with('/') { json.pointer(field) } else { json.get(field) };
        assert!(found.is_some() || (field.is_empty() && json.is_array()), "{words:?}: {json}");
    }
    for (words, answer) in [
        (&["events", "find", "--bill", "B-1"][..], json!({"found": [], "more": false})),
        (&["vault", "delete", "external_id:GT1"], json!({"deleted": false})),
    ] {
        let said = say(&client, words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
        assert!(said.failed.is_some(), "{words:?} found nothing");
        assert_eq!(said.json, answer, "{words:?}");
    }
    for words in [&["--json", "run"][..], &["--json", "config", "show"], &["--json", "demo"]] {
        assert!(!parse(words).unwrap().command.has_json(), "{words:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_cut_says_so() {
    let office = Office::open();
    let client = desk(&office);
    for n in 1..=5 {
        office.plan(n, "welcome", dead()).await;
    }
    let cut = say(&client, &["notifications", "list", "--limit", "3"]).await.unwrap();
    let next = cut.json["next"].as_str().unwrap().to_owned();
    let last = cut.text.lines().last().unwrap();
    assert_eq!(
        last,
        format!("3 of at least 3 shown; for the others --after {next}, or a larger --limit (at most 1000)")
    );
    let rest = text(&client, &["dead-letters", "list", "--after", &next]).await;
    assert_eq!(rest.lines().count(), 2, "{rest}");
    assert!(!rest.contains("shown"), "{rest}");
}

#[tokio::test]
async fn words_with_a_typo_are_refused_also_if_they_are_no_part_of_an_address() {
    let office = Office::open();
    let client = desk(&office);
    for words in [
        &["notifications", "list", "--state", "dead letter"][..],
        &["notifications", "list", "--template", "a b&org=1"],
        &["dead-letters", "list", "--reason", "brake"],
        &["dead-letters", "list", "--reason", "refuzed"],
        &["notifications", "cancel", "--state", "wating"],
    ] {
        let said = refused(&client, words).await;
        assert!(said.contains("expected") || said.contains("its reasons are"), "{words:?}: {said}");
    }
}

#[tokio::test]
async fn a_bulk_change_needs_a_choice_and_keeps_to_its_limit() {
    let office = Office::open();
    let client = desk(&office);
    let mut ids = Vec::new();
    for n in 1..=6 {
        ids.push(office.plan(n, "welcome", dead()).await.to_string());
    }
    for group in ["notifications", "dead-letters"] {
        for verb in ["cancel", "requeue"] {
            for more in [&[][..], &["--limit", "5"]] {
                let said = refused(&client, &[&[group, verb], more].concat()).await;
                assert!(said.starts_with("nothing was chosen"), "{group} {verb} {more:?}: {said}");
            }
            let ignored = parse(&[group, verb, &ids[0], "--template", "welcome"]);
            assert!(ignored.is_err(), "ids and words together would leave one of them unheard");
        }
    }
    assert!(parse(&["dead-letters", "requeue", "--all", "--limit", "0"]).is_err());
    insta::assert_snapshot!(text(&client, &["dead-letters", "requeue", "--all", "--limit", "4"]).await, @"4 changed, 0 in a state that does not allow it, 0 being sent at this moment; stopped at the limit, there may be more");
    insta::assert_snapshot!(text(&client, &["dead-letters", "cancel", "--reason", "no_address"]).await, @"2 changed, 0 in a state that does not allow it, 0 being sent at this moment");
    insta::assert_snapshot!(text(&client, &["notifications", "cancel", &ids[0]]).await, @"1 changed, 0 in a state that does not allow it, 0 being sent at this moment");
    insta::assert_snapshot!(text(&client, &["notifications", "requeue", &ids[0]]).await, @"0 changed, 1 in a state that does not allow it, 0 being sent at this moment");
}

#[tokio::test]
async fn a_file_of_identifiers_only_is_known_as_such() {
    let office = Office::open();
    let client = desk(&office);
    let file = office.storage().join("aliases.csv");
    std::fs::write(&file, "customer_id,external_id\n900001,EXT1\n900002,EXT2\n").unwrap();
    let said = say(&client, &["vault", "import", &file.display().to_string()]).await.unwrap();
    assert_eq!((&said.json["rows"], &said.json["refused"]), (&json!(2), &json!(0)));
    let stats = say(&client, &["vault", "stats"]).await.unwrap().json;
    assert_eq!((&stats["aliases"], &stats["contacts"]), (&json!(4), &json!(0)), "no contact is made of identifiers");
    let audit = std::fs::read_to_string(office.storage().join("audit.log")).unwrap();
    assert!(audit.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["about"]["how"] == "aliases"));
}

#[tokio::test]
async fn an_undated_file_leaves_out_who_was_erased_and_says_so() {
    let office = Office::open();
    let client = desk(&office);
    let file = office.storage().join("customers.csv");
    std::fs::write(&file, "external_id,first_name\nEXT1,Asha\nEXT2,Ben\n").unwrap();
    let import = ["vault", "import", &file.display().to_string()].map(str::to_owned);
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    assert_eq!(say(&client, &import).await.unwrap().json["erased"], 0);
    text(&client, &["vault", "delete", "external_id:EXT1"]).await;
    office.house.clock.advance(std::time::Duration::from_secs(86_400));
    let said = say(&client, &import).await.unwrap();
    assert_eq!(said.json["erased"], 1, "{}", said.text);
    assert!(said.text.ends_with("1 left out because the person was erased"), "{}", said.text);
    assert_eq!(refused(&client, &["vault", "get", "external_id:EXT1"]).await, "this person was erased");
}

#[tokio::test]
async fn a_command_that_only_asks_makes_no_stores() {
    let dir = tempfile::tempdir().unwrap();
    let config = configure(&dir);
    Keyring::generate().create(&config.keys.file).unwrap();
    for words in [&["status"][..], &["pauses"], &["notifications", "list"], &["mode"]] {
        let makes = may_make_stores(&parse(words).unwrap().command);
        let error = Client::connect(config.clone(), makes).await.err().expect("there is nothing to ask");
        assert!(print::chain(&error).contains("holds nothing yet"), "{words:?}: {error:#}");
        assert!(!config.storage.dir.exists(), "{words:?} made the directory");
    }
    assert!(may_make_stores(&parse(&["vault", "import", "x.csv"]).unwrap().command));
    assert!(may_make_stores(&parse(&["mode", "live"]).unwrap().command));
}

#[tokio::test]
async fn stores_that_another_process_has_are_worth_another_try() {
    let dir = tempfile::tempdir().unwrap();
    let house = crate::admin::tests::house_in(&dir);
    let config = house.config.clone();
    let error = Client::connect(config.clone(), false).await.err().expect("the stores are taken");
    assert_eq!(exit_code(&error), TRY_AGAIN);
    assert!(print::chain(&error).starts_with("another command, or a daemon that is starting"), "{error:#}");
    // A daemon that drains has closed its socket and not yet removed it.
    drop(std::os::unix::net::UnixListener::bind(&config.admin.socket).unwrap());
    let error = Client::connect(config, false).await.err().expect("the stores are taken");
    assert_eq!(exit_code(&error), TRY_AGAIN);
    assert!(print::chain(&error).starts_with("the daemon is stopping or starting"), "{error:#}");
    house.close();
}

#[tokio::test]
async fn a_key_file_of_other_data_is_a_fault_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let house = crate::admin::tests::house_in(&dir);
    let config = house.config.clone();
    house.close();
    drop(house);
    std::fs::remove_file(&config.keys.file).unwrap();
    Keyring::generate().create(&config.keys.file).unwrap();
    let error = Client::connect(config.clone(), false).await.err().expect("the keys do not fit");
    assert_eq!(exit_code(&error), CONFIG, "{error:#}");
    let said = print::chain(&error);
    assert!(said.ends_with("was made with another key file; give that one, or another directory"), "{said}");

    std::fs::write(&config.keys.file, "garbage").unwrap();
    let error = daemon::key_status(&config.keys.file).err().expect("no key file");
    assert_eq!(exit_code(&error), CONFIG, "{error:#}");
    let error = daemon::init_keys(&config.keys.file).err().expect("it exists");
    assert_eq!(exit_code(&error), FAILED, "{error:#}");
}

#[test]
fn a_cause_is_told_once() {
    let source = std::io::Error::from_raw_os_error(13);
    let error =
        anyhow::Error::new(BuildError::Storage { path: PathBuf::from("/data"), source }).context("cannot start");
    insta::assert_snapshot!(print::chain(&error), @"cannot start: storage directory /data cannot be made: Permission denied (os error 13)");
}

#[tokio::test]
async fn a_report_is_a_table_on_standard_output_or_in_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let office = Office::open();
    let client = desk(&office);
    office.plan(3, "welcome", waiting(WaitReason::ContactUnknown)).await;
    text(&client, &["notifications", "cancel", "--all"]).await;
    let day = ["report", "outcomes", "--day", "2026-10-27"];
    let head = "day,org,template,channel,sender,provider,outcome,reason,messages,segments";
    let row = "2026-10-27,41007,welcome,email,,,cancelled,,1,0";
    assert_eq!(text(&client, &day).await, format!("{head}\n{row}\n"));
    let file = office.storage().join("report.jsonl");
    let path = file.display().to_string();
    let said = text(&client, &[&day[..], &["--format", "jsonl", "--out", &path]].concat()).await;
    assert_eq!(said, format!("1 row in {path}"));
    let line: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&line["outcome"], &line["messages"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o137, 0);
    let said = refused(&client, &["report", "outcomes", "--day", "yesterday"]).await;
    assert!(said.contains("expected a date"), "{said}");
}
