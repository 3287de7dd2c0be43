//! The bench itself, small: it must run to its end, measure what it says, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Runs a bench with these words; what it reported. It must leave nothing behind.
fn bench(words: &[&str]) -> Value {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .env_clear()
        .env("TMPDIR", scratch.path())
        .args(["bench", "--json", "--contacts", "50"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left = std::fs::read_dir(scratch.path()).expect("the directory can be read").count();
    assert_eq!(left, 0, "the bench left files behind");
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn the_bench_runs_measures_and_cleans_up() {
    let report = bench(&["--messages", "60", "--seconds", "1", "--rate", "50"]);
    assert_eq!(report["mails"]["messages"], 60);
    assert_eq!(report["texts"]["messages"], 60);
    assert_eq!(report["steady"]["answers"], 50, "a steady phase sends exactly what its rate says");
    for figure in [
        "/bare_server/per_second",
        "/acknowledged/p99_ms",
        "/bare_smtp_per_second",
        "/mails/cpu_micros_each",
        "/pressed/p99_ms",
        "/memory/loading_bytes",
        "/memory/idle_bytes",
        "/memory/peak_bytes",
        "/vault_bytes_per_customer",
        "/ledger_bytes_per_event",
        "/ratios/acknowledged_to_bare_server",
    ] {
        assert!(report.pointer(figure).and_then(Value::as_f64).is_some_and(|f| f > 0.0), "{figure}: {report}");
    }
}

/// Where the kernel tells of the processes that this one has started.
fn children_of(parent: u32) -> Vec<PathBuf> {
    let running = std::fs::read_dir("/proc").expect("Linux").flatten().map(|process| process.path());
    let is_child = |process: &PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()))
    };
    running.filter(is_child).collect()
}

#[test]
fn an_interrupted_bench_takes_its_relay_and_its_files_with_it() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .env_clear()
        .env("TMPDIR", scratch.path())
        .args(["bench", "--contacts", "50", "--messages", "60", "--seconds", "2"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut told = BufReader::new(bench.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert!(told.any(|line| line.starts_with("acknowledgements")), "its relay runs, and more phases follow");
    let children = children_of(bench.id());
    assert_eq!(children.len(), 3, "the catchers, the bare server and the relay");
    kill_process(Pid::from_child(&bench), Signal::TERM).expect("it runs");
    assert!(told.any(|line| line.contains("interrupted")), "it says why it ended");
    assert!(!bench.wait().expect("its end").success());
    let left: Vec<_> = children.iter().filter(|process| process.exists()).collect();
    assert!(left.is_empty(), "{left:?} go on");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("the directory can be read").count(), 0);
}

#[test]
fn a_flood_is_held_by_the_brake_and_cancelled_by_one_command() {
    let report = bench(&["--flood", "2000", "--brake", "30"]);
    assert_eq!((&report["sent"], &report["held"]), (&30.into(), &1_970.into()));
}
