//! The real binary as a process, with catchers in the test that survive it.
//!
//! Promises: the very commands that people type; nothing of the surrounding environment; a process never outlives its test;
//! whatever befell it, none of [`support::person`] is left in its files or its log.
//! Never: a port that another process was given.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use sealpost::sink::sms::SmsSink;
use sealpost::sink::smtp::SmtpSink;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::needle::Needles;
use crate::support::{self, PATIENCE, Setup, breath, configuration};

/// An installation: a directory with keys and configuration, and the process if it runs.
pub struct Installation {
    pub dir: TempDir,
    pub smtp: SmtpSink,
    pub sms: SmsSink,
    pub intake: SocketAddr,
    /// What the environment of every process holds; nothing else.
    pub environment: Vec<(&'static str, OsString)>,
    config: PathBuf,
    child: Option<Child>,
}

impl Installation {
    /// Makes keys and configuration; starts nothing but the catchers.
    pub async fn new(setup: Setup) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let smtp = SmtpSink::start(setup.smtp.clone(), None).await.expect("mail catcher starts");
        let sms = SmsSink::start(setup.sms.clone()).await.expect("SMS catcher starts");
        let intake = free_port();
        let setup = Setup { intake: intake.port(), ..setup };
        let config = dir.path().join("sealpost.toml");
        let toml = configuration(dir.path(), smtp.address().port(), sms.address().port(), &setup);
        std::fs::write(&config, toml).expect("configuration can be written");
        let this = Self { dir, smtp, sms, intake, environment: Vec::new(), config, child: None };
        this.must(&["keys", "init"]);
        this
    }

    /// The storage directory.
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Where logs go: the standard error of every run, one after the other.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Where commands talk to the daemon.
    pub fn socket(&self) -> PathBuf {
        self.storage().join("admin.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost"));
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.dir.path())
            .arg("--config")
            .arg(&self.config)
            .args(arguments);
        command
    }

    /// Runs a command to its end, which must come.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the binary starts");
        let pid = rustix::process::Pid::from_child(&child);
        let (ended, end) = std::sync::mpsc::channel();
        let (asked, waiting) = (
            format!("{arguments:?}"),
            std::thread::spawn(move || {
                let _ = ended.send(child.wait_with_output());
            }),
        );
        let output = end.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("{asked} did not end")
        });
        waiting.join().expect("the thread that waits does not panic");
        output.expect("a child can be waited for")
    }

    /// True if the daemon answers on its local socket.
    pub async fn answers(&self) -> bool {
        support::ask(&self.socket(), "GET", "/livez", None).await.is_ok_and(|(status, _)| status == 200)
    }

    /// Starts a command and leaves it to the test, with a pipe to its standard input.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    /// Runs a command that must succeed; what it printed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts the daemon and waits until it takes events.
    pub async fn start(&mut self) {
        self.launch(&[]);
        self.ready().await;
    }

    /// Waits until a daemon that was started takes events.
    pub async fn ready(&mut self) {
        if let Some(status) = self.ready_or_ended().await {
            panic!("the daemon ended with {status}: {}", tail(&self.log()));
        }
    }

    /// Starts the daemon with this in its environment, and waits for nothing.
    pub fn launch(&mut self, environment: &[(&str, &str)]) {
        let log = || -> File {
            let opened = OpenOptions::new().create(true).append(true).open(self.log());
            opened.expect("a log can be opened")
        };
        let mut command = self.command(&["run"]);
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(log()).stderr(log());
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// Starts the daemon with a limit of open files that a shell sets, as a unit or a container would, and waits until it takes events.
    pub async fn start_within(&mut self, limit: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("a log can be opened");
        let run = self.command(&["run"]);
        let mut command = Command::new("/bin/sh");
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(self.dir.path());
        command
            .arg("-c")
            .arg(format!("ulimit {limit} && exec \"$0\" \"$@\""))
            .arg(run.get_program())
            .args(run.get_args());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("a shell starts"));
        self.ready().await;
    }

    /// Waits until the daemon takes events; how it ended, if it never did.
    pub async fn ready_or_ended(&mut self) -> Option<ExitStatus> {
        let ready = async {
            while !matches!(support::ask(&self.socket(), "GET", "/readyz", None).await, Ok((200, _))) {
                let child = self.child.as_mut().expect("just started");
                if let Some(status) = child.try_wait().expect("a child can be asked") {
                    self.child = None;
                    return Some(status);
                }
                breath().await;
            }
            None
        };
        let waited = tokio::time::timeout(PATIENCE, ready).await;
        waited.unwrap_or_else(|_| panic!("the daemon never became ready: {}", tail(&self.log())))
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// SIGHUP.
    pub fn tell_to_reload(&self) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().expect("the daemon runs"));
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a child can be told to reload");
    }

    /// Bytes of memory that the system has given to the daemon.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the daemon runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") << 10
    }

    /// The sum of a metric over all labels that contain `label`; zero while nothing was counted.
    pub async fn metric(&self, name: &str, label: &str) -> u64 {
        let (status, text) = self.ask("GET", "/metrics", None).await;
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child can be waited for");
    }

    /// SIGTERM, without waiting for the end.
    pub fn tell_to_stop(&self) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().expect("the daemon runs"));
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a child can be told to stop");
    }

    /// SIGTERM; how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.tell_to_stop();
        self.ended().await
    }

    /// Waits for the end of a daemon that was told to stop, or that ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon ran");
        let ended = async {
            loop {
                if let Some(status) = child.try_wait().expect("a child can be asked") {
                    return status;
                }
                breath().await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.unwrap_or_else(|_| panic!("the daemon did not stop: {}", tail(&self.log())))
    }

    /// Asks the daemon.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        support::ask(&self.socket(), method, path, body).await.expect("the daemon answers")
    }

    /// What is known of an event, once all its notifications rest.
    pub async fn settled(&self, event_id: &str) -> Value {
        let search = json!({ "by": "event_id", "value": event_id });
        let looks = async {
            loop {
                let (status, text) = self.ask("POST", "/v1/events/find", Some(search.clone())).await;
                assert_eq!(status, 200, "{text}");
                let answer: Value = serde_json::from_str(&text).expect("the daemon answers in JSON");
                if let Some(found) = answer["found"].get(0).filter(|found| support::rests(found)) {
                    return found.clone();
                }
                breath().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looks).await;
        found.unwrap_or_else(|_| panic!("{event_id} does not settle: {}", tail(&self.log())))
    }
}

impl Installation {
    /// What the processes wrote: their store's files, whatever they are called, and their log. What lies beside them the test wrote itself.
    pub fn written(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        files(&self.storage(), &mut found);
        found.extend(std::fs::read(self.log()).map(|log| (self.log().display().to_string(), log)));
        found
    }
}

/// Where any of these is found in what was written.
pub fn traces(written: &[(String, Vec<u8>)], needles: &Needles) -> Vec<String> {
    let is_log = |path: &str| path.ends_with("/log") || path.ends_with(".log");
    let of = |(path, bytes): &(String, Vec<u8>)| {
        let traces = if is_log(path) { needles.find_in_log(bytes) } else { needles.find(bytes) };
        (!traces.is_empty()).then(|| format!("{path} holds {traces:?}"))
    };
    written.iter().filter_map(of).collect()
}

/// The made-up people of the tests, by what all of them have and by the whole of two.
fn everybody() -> Needles {
    Needles::new(&["Givenname", "Familyname", "person1@example.com", "person2@example.com", "9900000001", "9900000002"])
}

/// Every file below a directory, with its name before its bytes. A socket cannot be read, and holds nothing.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    // Some tests remove it.
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("entry can be read").path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let name = path.display().to_string();
            let named = [name.as_bytes(), b"\n", &bytes].concat();
            found.push((name, named));
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            let traces = traces(&self.written(), &everybody());
            assert!(traces.is_empty(), "somebody was left behind: {traces:#?}");
        }
    }
}

/// A port that stays free between two runs: below those that systems give to connections and to whoever asks for any.
fn free_port() -> SocketAddr {
    let addresses = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(20_000..32_000))));
    addresses.take(100).find(|address| TcpListener::bind(address).is_ok()).expect("one port in a hundred is free")
}

/// The last lines of a log, for a test that fails.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
