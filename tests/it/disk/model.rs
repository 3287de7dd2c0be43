//! A file system that forgets: from a tape, every directory that a power cut could leave behind.
//!
//! Promises: read as strictly as POSIX allows. What a file held when a sync of it began is surely there; whatever came
//! later is there or not, each 512-byte sector for itself. A name is surely there, or surely gone, only once its directory
//! was synced; a sync of the file does not name it, although ext4 and XFS do that.
//! Never: sectors of rubbish; what was never written reads as zeros.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::tape::{Happened, Record};

const SECTOR: u64 = 512;
/// The log of an installation stands beside the stores.
pub const LOG: &str = "log";

/// How much of what was not synced the disk kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    Nothing,
    Everything,
    /// Each change with this probability, writes perhaps torn.
    Some(f64),
}

/// Number of a file or directory in a model: inodes are used again.
type Id = usize;

#[derive(Clone)]
enum Node {
    File { durable: Content, pending: Vec<(u64, Change)> },
    Dir { durable: BTreeMap<String, Id>, pending: Vec<(u64, Naming)>, listed: BTreeMap<u64, BTreeMap<String, Id>> },
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone)]
enum Naming {
    Add(String, Id),
    Remove(String),
    Move(String, String),
}

/// Sparse: journals are allocated far ahead of what is in them.
#[derive(Clone, Default, PartialEq)]
struct Content {
    size: u64,
    sectors: BTreeMap<u64, [u8; SECTOR as usize]>,
}

/// Files and directories, with what is durable and what is pending of each.
#[derive(Clone)]
pub struct Model {
    root: Id,
    nodes: Vec<Node>,
    inodes: HashMap<u64, Id>,
}

impl Model {
    /// A directory as it stands, all of it durable; without what the test itself writes there.
    pub fn of(root: &Path) -> Self {
        let mut model = Self { root: 0, nodes: Vec::new(), inodes: HashMap::new() };
        model.root = model.take_in(root);
        model
    }

    fn take_in(&mut self, path: &Path) -> Id {
        let about = path.metadata().expect("it exists");
        let node = if about.is_dir() {
            let entries =
                std::fs::read_dir(path).expect("a directory can be read").map(|entry| entry.expect("an entry"));
            let plain = entries.filter(|entry| {
                entry.file_name() != LOG && entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir())
            });
            let named = |name: std::ffi::OsString| name.into_string().expect("our files have names in UTF-8");
            let durable = plain.map(|entry| (named(entry.file_name()), self.take_in(&entry.path()))).collect();
            Node::Dir { durable, pending: Vec::new(), listed: BTreeMap::new() }
        } else {
            let mut durable = Content::default();
            durable.write(0, &std::fs::read(path).expect("a file can be read"), &mut || true);
            Node::File { durable, pending: Vec::new() }
        };
        self.nodes.push(node);
        self.inodes.insert(about.ino(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Plays one record.
    pub fn play(&mut self, record: &Record<'_>) {
        let at = record.from;
        match &record.happened {
            Happened::Write { inode, at: offset, bytes } => {
                self.change(*inode, at, Change::Write(*offset, bytes.to_vec()));
            }
            Happened::Truncate { inode, size } => self.change(*inode, at, Change::Truncate(*size)),
            Happened::Create { inode, dir, name, is_dir } => {
                self.nodes.push(if *is_dir {
                    Node::Dir { durable: BTreeMap::new(), pending: Vec::new(), listed: BTreeMap::new() }
                } else {
                    Node::File { durable: Content::default(), pending: Vec::new() }
                });
                self.inodes.insert(*inode, self.nodes.len() - 1);
                self.name(*dir, at, Naming::Add((*name).to_owned(), self.nodes.len() - 1));
            }
            Happened::Remove { dir, name } => self.name(*dir, at, Naming::Remove((*name).to_owned())),
            Happened::Rename { from, to } => {
                assert_eq!(from.0, to.0, "no store moves a file to another directory");
                self.name(from.0, at, Naming::Move(from.1.to_owned(), to.1.to_owned()));
            }
            Happened::List { inode, entries } => {
                // What the test itself put there is not known, and not in question.
                let known =
                    entries.iter().filter_map(|(inode, name)| Some(((*name).to_owned(), *self.inodes.get(inode)?)));
                let known: BTreeMap<_, _> = known.collect();
                if let Some(Node::Dir { listed, .. }) = self.inodes.get(inode).map(|id| &mut self.nodes[*id]) {
                    listed.insert(at, known);
                }
            }
            Happened::Synced { inode, from } => self.synced(*inode, *from),
        }
    }

    fn change(&mut self, inode: u64, at: u64, change: Change) {
        if let Some(Node::File { pending, .. }) = self.inodes.get(&inode).map(|id| &mut self.nodes[*id]) {
            pending.push((at, change));
        }
    }

    fn name(&mut self, dir: u64, at: u64, naming: Naming) {
        if let Some(Node::Dir { pending, .. }) = self.inodes.get(&dir).map(|id| &mut self.nodes[*id]) {
            pending.push((at, naming));
        }
    }

    fn synced(&mut self, inode: u64, from: u64) {
        let Some(id) = self.inodes.get(&inode) else { return };
        match &mut self.nodes[*id] {
            Node::File { durable, pending } => {
                let later = pending.split_off(pending.partition_point(|(at, _)| *at < from));
                for (_, change) in std::mem::replace(pending, later) {
                    durable.apply(&change, &mut || true);
                }
            }
            Node::Dir { durable, pending, listed } => {
                *durable = listed.remove(&from).expect("a directory is listed when a sync of it begins");
                pending.retain(|(at, _)| *at >= from);
            }
        }
    }

    /// Entries of a directory, with those of the pending changes that `keeps` says.
    fn names(&self, dir: Id, keeps: &mut dyn FnMut() -> bool) -> BTreeMap<String, Id> {
        let Node::Dir { durable, pending, .. } = &self.nodes[dir] else { panic!("a file has no entries") };
        let mut names = durable.clone();
        for (_, naming) in pending.iter().filter(|_| keeps()) {
            match naming {
                Naming::Add(name, id) => _ = names.insert(name.clone(), *id),
                Naming::Remove(name) => _ = names.remove(name),
                Naming::Move(old, new) => {
                    if let Some(id) = names.remove(old) {
                        names.insert(new.clone(), id);
                    }
                }
            }
        }
        names
    }

    /// Makes the directory that a power cut at this moment could leave behind.
    pub fn rebuild(&self, root: &Path, kept: Kept, chance: &mut fastrand::Rng) {
        self.rebuild_dir(self.root, root, kept, chance);
    }

    fn rebuild_dir(&self, dir: Id, path: &Path, kept: Kept, chance: &mut fastrand::Rng) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a directory can be made");
        let names = self.names(dir, &mut || kept.keeps(chance));
        for (name, id) in names {
            let path = path.join(name);
            match &self.nodes[id] {
                Node::Dir { .. } => self.rebuild_dir(id, &path, kept, chance),
                Node::File { durable, pending } => {
                    let mut content = durable.clone();
                    for (_, change) in pending {
                        let whole = kept.keeps(chance);
                        let torn = matches!(kept, Kept::Some(_)) && chance.bool();
                        content.apply(change, &mut || if torn { chance.bool() } else { whole });
                    }
                    content.write_out(&path);
                }
            }
        }
    }
}

impl Kept {
    fn keeps(self, chance: &mut fastrand::Rng) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(probability) => chance.f64() < probability,
        }
    }
}

impl Content {
    fn apply(&mut self, change: &Change, keeps: &mut dyn FnMut() -> bool) {
        match change {
            Change::Write(at, bytes) => self.write(*at, bytes, keeps),
            Change::Truncate(size) => {
                if keeps() {
                    self.truncate(*size);
                }
            }
        }
    }

    /// Writes those sectors that `keeps` says, one by one.
    fn write(&mut self, at: u64, bytes: &[u8], keeps: &mut dyn FnMut() -> bool) {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let within = (at % SECTOR) as usize;
            let (part, later) = rest.split_at(rest.len().min(SECTOR as usize - within));
            if keeps() {
                let sector = self.sectors.entry(at / SECTOR).or_insert([0; SECTOR as usize]);
                sector[within..within + part.len()].copy_from_slice(part);
                self.size = self.size.max(at + part.len() as u64);
            }
            at += part.len() as u64;
            rest = later;
        }
    }

    fn truncate(&mut self, size: u64) {
        self.size = size;
        self.sectors.split_off(&size.div_ceil(SECTOR));
        if let Some(last) = self.sectors.get_mut(&(size / SECTOR)) {
            last[(size % SECTOR) as usize..].fill(0);
        }
    }

    fn write_out(&self, path: &Path) {
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.expect("a file can be made");
        file.set_len(self.size).expect("a file can be made long");
        let (mut run, mut start) = (Vec::new(), 0);
        for (number, sector) in &self.sectors {
            let at = number * SECTOR;
            if start + run.len() as u64 != at {
                file.write_all_at(&run, start).expect("a file can be written");
                run.clear();
                start = at;
            }
            run.extend_from_slice(&sector[..(self.size - at).min(SECTOR) as usize]);
        }
        file.write_all_at(&run, start).expect("a file can be written");
    }
}
