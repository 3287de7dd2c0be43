//! The tape that the shim writes: what happened to the files, in order.
//!
//! Promises: a record is understood whole, or not at all.
//! Never: a kind of record that is passed over.

/// One change, or one sync.
pub enum Happened<'t> {
    Write {
        inode: u64,
        at: u64,
        bytes: &'t [u8],
    },
    Truncate {
        inode: u64,
        size: u64,
    },
    Create {
        inode: u64,
        dir: u64,
        name: &'t str,
        is_dir: bool,
    },
    Remove {
        dir: u64,
        name: &'t str,
    },
    Rename {
        from: (u64, &'t str),
        to: (u64, &'t str),
    },
    /// What a directory held when a sync of it began.
    List {
        inode: u64,
        entries: Vec<(u64, &'t str)>,
    },
    /// A sync that began at a place of the tape ended well.
    Synced {
        inode: u64,
        from: u64,
    },
}

/// A record and the places at which it begins and ends.
pub struct Record<'t> {
    pub from: u64,
    pub to: u64,
    pub happened: Happened<'t>,
}

const HEADER: usize = 24;

/// Reads a tape. A process that was killed may have left half a record at its end.
pub fn read(tape: &[u8]) -> Vec<Record<'_>> {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(header) = tape.get(at..at + HEADER) {
        let word = |from: usize| u32::from_ne_bytes(*header[from..].first_chunk().expect("a header has six words"));
        let long = |from: usize| u64::from_ne_bytes(*header[from..].first_chunk().expect("a header has six words"));
        let end = at + HEADER + word(4) as usize;
        let Some(bytes) = tape.get(at + HEADER..end) else { break };
        let happened = understand(word(0), long(8), long(16), bytes);
        records.push(Record { from: at as u64, to: end as u64, happened });
        at = end;
    }
    records
}

fn understand(kind: u32, inode: u64, other: u64, bytes: &[u8]) -> Happened<'_> {
    let text = |bytes| std::str::from_utf8(bytes).expect("our files have names in UTF-8");
    match kind {
        1 => Happened::Write { inode, at: other, bytes },
        2 => Happened::Truncate { inode, size: other },
        3 | 4 => Happened::Create { inode, dir: other, name: text(bytes), is_dir: kind == 4 },
        5 => Happened::Remove { dir: other, name: text(bytes) },
        6 => {
            let (old, new) = text(bytes).split_once('\0').expect("two names");
            Happened::Rename { from: (inode, old), to: (other, new) }
        }
        7 => {
            let (mut entries, mut rest) = (Vec::new(), bytes);
            while let Some((number, name)) = rest.split_first_chunk() {
                let end = name.iter().position(|byte| *byte == 0).expect("a name ends");
                entries.push((u64::from_ne_bytes(*number), text(&name[..end])));
                rest = &name[end + 1..];
            }
            Happened::List { inode, entries }
        }
        8 => Happened::Synced { inode, from: other },
        other => panic!("the tape has a record of kind {other}"),
    }
}
