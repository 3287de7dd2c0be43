//! The shim of `shim.c`: built, put under a process, and told what to do while it runs.
//!
//! Promises: what the shim met is counted, so that a test waits for the fault itself and not for time.
//! Never: a daemon that was meant to have the shim and runs without it ([`Shim::is_below`]).

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::process::Installation;

/// The library, built once for all tests of this binary.
static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();

/// The shim below one installation.
pub struct Shim {
    _dir: TempDir,
    tape: PathBuf,
    control: File,
}

/// What a disk can be made to do.
#[derive(Clone, Copy, Default)]
pub struct Orders<'p> {
    pub write_errno: i32,
    pub make_errno: i32,
    pub sync_errno: i32,
    pub sync_millis: u32,
    pub sync_hangs: bool,
    pub full: bool,
    /// Only files whose path below the installation begins so.
    pub scope: &'p str,
}

/// Places in `struct control`.
const HITS: u64 = 24;
const SIZE: usize = 64;

impl Shim {
    /// Puts the shim below every process that the installation starts from now on.
    pub fn below(relay: &mut Installation, records: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (tape, orders) = (dir.path().join("tape"), dir.path().join("control"));
        std::fs::write(&orders, [0; SIZE]).expect("a file can be written");
        let control = File::options().read(true).write(true).open(&orders).expect("just written");
        let mut environment: Vec<(&str, OsString)> = vec![
            ("LD_PRELOAD", library().into()),
            ("DISK_BELOW", relay.dir.path().canonicalize().expect("it exists").into()),
            ("DISK_CONTROL", orders.into()),
        ];
        if records {
            File::create(&tape).expect("a file can be made");
            environment.push(("DISK_TAPE", tape.clone().into()));
        }
        relay.environment = environment;
        Self { _dir: dir, tape, control }
    }

    /// The tape so far.
    pub fn tape(&self) -> Vec<u8> {
        std::fs::read(&self.tape).expect("the tape can be read")
    }

    /// How long the tape is at this moment.
    pub fn place(&self) -> u64 {
        std::fs::metadata(&self.tape).expect("the tape can be looked at").len()
    }

    /// From now on the disk does this.
    pub fn order(&self, orders: Orders<'_>) {
        let mut block = Vec::with_capacity(SIZE);
        for errno in [orders.write_errno, orders.make_errno, orders.sync_errno] {
            block.extend(errno.to_ne_bytes());
        }
        for word in [orders.sync_millis, orders.sync_hangs.into(), orders.full.into(), 0] {
            block.extend(word.to_ne_bytes());
        }
        block.extend(orders.scope.as_bytes());
        block.resize(SIZE, 0);
        // The scope before what happens in it.
        self.control.write_all_at(&block[28..], 28).expect("orders can be written");
        self.control.write_all_at(&block[..28], 0).expect("orders can be written");
    }

    /// How often the present orders were met.
    pub fn hits(&self) -> u32 {
        let mut hits = [0; 4];
        self.control.read_exact_at(&mut hits, HITS).expect("orders can be read");
        u32::from_ne_bytes(hits)
    }
}

fn library() -> PathBuf {
    let (_, library) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let library = dir.path().join("shim.so");
        build(&library);
        (dir, library)
    });
    library.clone()
}

/// With the C compiler that building the relay needs anyway.
fn build(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk/shim.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"]).arg(library).arg(source);
    let built = command.output().unwrap_or_else(|error| panic!("{compiler:?} cannot be started: {error}"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}
