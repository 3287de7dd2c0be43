//! Files of people, through the binary: what people type, what they are told, and what a kill leaves.
//!
//! Promises: real processes and real stores; nothing here looks into the vault past the commands.
//! Never: a wait for a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::process::Installation;
use crate::support::Setup;

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    std::fs::write(dir.join(name), text).expect("a file can be written");
    name.to_owned()
}

/// A file that takes many batches.
fn crowd(count: usize) -> String {
    let mut text = String::from("external_id,first_name,mobile\n");
    for n in 0..count {
        let _ = writeln!(text, "GT{n},Person,+91980{n:07}");
    }
    text
}

fn contacts(relay: &Installation) -> u64 {
    let said = relay.must(&["vault", "stats"]);
    said.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a count comes first")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_goes_on_where_it_stopped() {
    const PEOPLE: usize = 9_000;
    const BAD: usize = 9;
    let mut relay = Installation::new(Setup::default()).await;
    relay.start().await;
    // A bad row on every thousandth line: some of them before the kill, some after it.
    let mut text = String::new();
    for (at, line) in crowd(PEOPLE).lines().enumerate() {
        let _ = writeln!(text, "{line}");
        if at % 1_000 == 500 {
            let _ = writeln!(text, "BAD{at},Person,canary");
        }
    }
    let file = write(relay.dir.path(), "crowd.csv", text);
    let state = relay.dir.path().join("crowd.csv.import-state");
    let reported = || std::fs::read_to_string(relay.dir.path().join("faults")).expect("a fault file").lines().count();

    let mut child = relay.begin(&["vault", "import", &file, "--faults", "faults"]);
    while !state.exists() {
        let ended = child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "the import ended before its first state was seen");
        std::thread::yield_now();
    }
    child.kill().expect("a child can be killed");
    child.wait().expect("a killed child can be waited for");
    let text = std::fs::read_to_string(&state).expect("the state stays");
    assert!(!text.contains("GT") && !text.contains("98000"), "the state holds somebody: {text}");
    let noted: Value = serde_json::from_str(&text).expect("the state is whole");
    let done = noted["records"].as_u64().expect("records are counted");
    let refused = noted["tally"]["refused"].as_u64().expect("refused rows are counted");
    assert!(done >= 2_000 && done < PEOPLE as u64 && contacts(&relay) >= done - refused, "{done}");
    assert!(refused > 0 && reported() >= refused as usize, "the state tells of faults that no file has");

    // Other options would mean other rows: the state is not taken for them.
    let other = relay.run(&["vault", "import", &file, "--mode", "replace", "--resume"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("of other options"));
    let output = relay.run(&["vault", "import", &file, "--faults", "faults", "--resume"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with(&format!("{PEOPLE} rows stored (0 repeat an identifier), {BAD} refused")), "{said}");
    assert_eq!((contacts(&relay), reported()), (PEOPLE as u64, BAD), "each fault is told once");
    assert!(!state.exists(), "nothing is left to resume");
    let none = relay.run(&["vault", "import", &file, "--resume"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no import to resume"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_option_writes_over_the_file_that_is_read() {
    let relay = Installation::new(Setup::default()).await;
    let text = "external_id,first_name\nGT1,Asha\n";
    let file = write(relay.dir.path(), "self.csv", text);
    let other = write(relay.dir.path(), "notes.txt", "keep this");
    std::os::unix::fs::symlink("self.csv", relay.dir.path().join("link.csv")).expect("a link can be made");
    for (options, why) in [
        (&["--state", &file][..], "would be written over"),
        (&["--faults", &file], "would be written over"),
        (&["--faults", "link.csv"], "would be written over"),
        (&["--faults", "./self.csv", "--dry-run"], "would be written over"),
        (&["--faults", "x", "--state", "x"], "would be written over"),
        (&["--state", &other], "is not the state of an import"),
    ] {
        let output = relay.run(&[&["vault", "import", &file], options].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{options:?}: {said}");
        assert_eq!(std::fs::read_to_string(relay.dir.path().join(&file)).expect("it stays"), text, "{options:?}");
    }
    assert_eq!(std::fs::read_to_string(relay.dir.path().join(&other)).expect("it stays"), "keep this");
    let list = write(relay.dir.path(), "ndnc.txt", "9812345678\n");
    let output = relay.run(&["vault", "ndnc", &list, "--country", "91", "--faults", &list]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("would be written over"));
    let output = relay.run(&["vault", "ndnc", &list]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--country 91"), "a list without country codes");
    assert!(relay.must(&["vault", "ndnc"]).starts_with("no list was loaded"));
    let output = relay.run(&["vault", "find", "--email", "nobody@example.in"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("country code"), "a mail address is no number");
    let output = relay.run(&["vault", "import", &file, "--namespace", "nobodys"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("before anything was stored") && !said.contains("--resume"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_lines_of_json_come_in_by_standard_input() {
    let relay = Installation::new(Setup::default()).await;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(
            b"{\"external_id\":\"GT1\",\"first_name\":\"Asha\"}\r\n{\"external_id\":\"GT2\",\"first_name\":\"Ravi\"}",
        )
        .expect("memory takes it");
    let mut child = relay.begin(&["vault", "import", "-"]);
    let bytes = packed.finish().expect("memory takes it");
    child.stdin.take().expect("piped").write_all(&bytes).expect("the import reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(contacts(&relay), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_the_import_says_and_stores_nothing() {
    let relay = Installation::new(Setup::default()).await;
    let text = "Member,Mobile No,Remarks\nGT1,+919812345678,x\nGT2,canary,x\nGT1,,x\nGT4,\"canary,x\nGT5,,x\n";
    let file = write(relay.dir.path(), "people.csv", text);
    let map = ["--map", "Member=external_id", "--map", "Mobile No=phone", "--map", "Remarks=-"];
    let mut reports = Vec::new();
    for extra in [&["--dry-run", "--faults", "dry"][..], &["--faults", "real"]] {
        let output = relay.run(&[&["vault", "import", &file], &map[..], extra].concat());
        assert!(!output.status.success(), "rows were refused");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("canary") && said.contains("line 3: field `mobile` is not E.164"), "{said}");
        assert!(said.contains("2 rows") && said.contains("2 refused"), "{said}");
        let report = std::fs::read_to_string(relay.dir.path().join(extra[extra.len() - 1])).expect("a fault file");
        reports.push(report);
        if extra[0] == "--dry-run" {
            assert!(!relay.storage().exists(), "a dry run makes no store");
        }
    }
    assert_eq!(reports[0], reports[1]);
    insta::assert_snapshot!(reports[0], @r#"
    {"fault":"is not E.164","field":"mobile","line":3,"row":"refused"}
    {"fault":"has a quote that is not closed; reading ends here","field":null,"line":5,"row":"refused"}
    {"fault":"stands on line 2 too","field":"external_id","line":4,"row":"stored"}
    "#);
    assert_eq!(contacts(&relay), 1);
    let wrong = relay.run(&["vault", "import", &file, "--map", "Member=nobody"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("`Member=nobody` is no mapping"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_of_somebody_else_is_told_by_line_and_in_the_summary() {
    let relay = Installation::new(Setup::default()).await;
    let text = "customer_id,external_id,first_name\n31,NULL,Anna\n32,NULL,Bob\n41,GUEST,Ina\n42,GUEST,Jon\n";
    let file = write(relay.dir.path(), "people.csv", text);
    let output = relay.run(&["vault", "import", &file, "--faults", "faults"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("4 rows stored (1 repeat an identifier), 0 refused"), "{said}");
    assert!(said.contains("; 5 aliases linked, 1 belonged to somebody else, "), "{said}");
    let report = std::fs::read_to_string(relay.dir.path().join("faults")).expect("a fault file");
    assert!(
        report.contains("\"line\":5,\"row\":\"stored\"") && report.contains("belonged to somebody else"),
        "{report}"
    );
    for (customer, name) in [(31, "Anna"), (32, "Bob"), (41, "Ina"), (42, "Jon")] {
        assert!(relay.must(&["vault", "get", &format!("customer_id:{customer}")]).contains(name), "{customer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_finds_the_family_by_id_and_by_nothing_else() {
    let relay = Installation::new(Setup::default()).await;
    let text = "external_id,first_name,mobile,email\nGT1,Asha,+919812345678,home@example.in\n\
                GT2,Ravi,+919812345678,\nGT3,Mira,+919899999999,Home@Example.in\n";
    let file = write(relay.dir.path(), "people.csv", text);
    relay.must(&["vault", "import", &file]);
    let lines = |arguments: &[&str]| {
        let mut lines: Vec<String> = relay.must(arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&["vault", "find", "--phone", "91 98123-45678"]), ["external_id:GT1", "external_id:GT2"]);
    assert_eq!(lines(&["vault", "find", "--email", "HOME@example.in"]), ["external_id:GT1", "external_id:GT3"]);
    relay.must(&["vault", "delete", "external_id:GT1"]);
    assert_eq!(lines(&["vault", "find", "--phone", "+919812345678"]), ["external_id:GT2"]);
    let nobody = relay.run(&["vault", "find", "--phone", "+4911111111"]);
    assert!(!nobody.status.success() && !String::from_utf8_lossy(&nobody.stderr).contains("4911111111"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_numbers_is_loaded_and_replaced_only_as_a_whole() {
    let relay = Installation::new(Setup::default()).await;
    let list = write(relay.dir.path(), "ndnc.txt", "9812345678\r\n09812345679\n+91 98123 45678\n");
    let said = relay.must(&["vault", "ndnc", &list, "--country", "91"]);
    assert_eq!(said.trim(), "3 numbers read, 2 new, 0 refused; 2 on the list");
    assert!(relay.must(&["vault", "ndnc"]).starts_with("ndnc: 2 numbers, changed "));
    let faulty = write(relay.dir.path(), "faulty.csv", "name,phone\nx,+919812345670\ny,98canary\n");
    let refused = relay.run(&["vault", "ndnc", &faulty, "--replace"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("line 3") && said.contains("was not replaced"), "{said}");
    assert!(!said.contains("canary") && relay.must(&["vault", "ndnc"]).starts_with("ndnc: 2 numbers"));
    let whole = write(relay.dir.path(), "whole.csv", "name,phone\nx,+919812345670\n");
    let said = relay.must(&["vault", "ndnc", &whole, "--replace"]);
    assert!(said.trim().ends_with("; 1 on the list"), "{said}");
    assert!(relay.must(&["vault", "coverage"]).starts_with("0 events since -"));
}
