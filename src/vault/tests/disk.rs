//! What rests on the disk: nothing readable, and nothing unsynced.

use std::process::Command;

use super::*;

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn nothing_of_a_person_can_be_read_on_disk() {
    let world = World::new();
    let canaries =
        ["Canaryfirst", "Canarylast", "canary@mail.example", "+919812345678", "cCANARYID", "eCANARYEXT", "canaryattr"];
    for round in 0..50 {
        let mut person = contact("Canaryfirst", round);
        person.last_name = Some(Personal::new("Canarylast"));
        person.email = Some(Personal::new("canary@mail.example"));
        person.mobile = Some(Personal::new("+919812345678"));
        person.attributes = [("canaryname".to_owned(), Personal::new("canaryattr"))].into();
        world.put(&[&format!("eCANARYEXT{round}")], person, PutMode::Replace).unwrap();
        world.learn(&["cCANARYID", &format!("eCANARYEXT{round}")], round);
    }
    world.delete("eCANARYEXT7", 99);
    world.vault().close().unwrap();
    let mut bytes = 0;
    for file in files(world.path()) {
        let content = std::fs::read(&file).unwrap();
        bytes += content.len();
        for canary in canaries.into_iter().chain(["canaryname", "9812345678", "CANARY"]) {
            let found = content.windows(canary.len()).any(|window| window.eq_ignore_ascii_case(canary.as_bytes()));
            assert!(!found, "{canary} stands in {}", file.display());
        }
    }
    assert!(bytes > 10_000, "nothing was looked at");
}

#[test]
fn the_vault_opens_again_with_everything_in_it_after_a_drop() {
    let mut world = World::new();
    for n in 0..200 {
        world.put(&[&format!("e{n}"), &format!("c{n}")], contact(&format!("Name{n}"), n), PutMode::Replace).unwrap();
    }
    world.vault().sync_blocking().unwrap();
    for _ in 0..3 {
        world.reopen();
        assert_eq!(world.who(&["c77"]), "Name77");
        world.check_whole();
    }
    let stats = world.vault().stats().unwrap();
    assert_eq!((stats.contacts, stats.aliases), (200, 400));
    assert!(stats.bytes_on_disk > 50_000);
}

#[test]
fn a_closed_vault_reads_and_refuses_writes() {
    let world = World::new();
    world.put(&["e1"], contact("Asha", 1), PutMode::Replace).unwrap();
    world.vault().close().unwrap();
    assert_eq!(world.who(&["e1"]), "Asha");
    assert_eq!(fault(world.put(&["e2"], contact("Ravi", 1), PutMode::Replace)), "vault was closed");
    assert!(world.vault().is_healthy());
    world.vault().close().unwrap();
}

#[test]
fn another_key_file_is_told_from_a_broken_record() {
    let mut world = World::new();
    world.put(&["e1"], contact("Asha", 1), PutMode::Replace).unwrap();
    world.vault = None;
    let error = fault(Vault::open(world.path(), &Keyring::generate(), 1 << 20));
    assert!(error.ends_with("was made with another key file; give that one, or another directory"), "{error}");
    world.keys = world.keys.add_epoch();
    world.reopen();
    assert_eq!(world.who(&["e1"]), "Asha");
}

#[test]
fn large_records_survive_though_sled_puts_their_pages_into_other_files() {
    let mut world = World::new();
    for n in 0..60 {
        let mut person = contact("Asha", n);
        person.attributes = (0..4).map(|at| (format!("note{at}"), Personal::new("n".repeat(7_500)))).collect();
        world.put(&[&format!("e{n}")], person, PutMode::Replace).unwrap();
    }
    world.vault().sync_blocking().unwrap();
    assert!(
        std::fs::read_dir(world.path().join("blobs")).unwrap().count() > 0,
        "then the committer need not sync them"
    );
    world.reopen();
    for n in 0..60 {
        let note = world.vault().contact(world.id(&format!("e{n}"))).unwrap().unwrap().attributes.remove("note3");
        assert_eq!(note.unwrap().expose().len(), 7_500);
    }
}

/// Run by [`a_second_process_is_told_that_the_vault_is_in_use`] in another process.
#[test]
fn opener_in_another_process() {
    let Some(dir) = std::env::vars_os().find(|(name, _)| name == "SEALPOST_TEST_VAULT").map(|(_, dir)| dir) else {
        return;
    };
    let error = fault(Vault::open(Path::new(&dir), &Keyring::generate(), 1 << 20));
    std::fs::write(Path::new(&dir).with_extension("said"), error).unwrap();
}

#[test]
fn a_second_process_is_told_that_the_vault_is_in_use() {
    let world = World::new();
    let said = world.path().with_extension("said");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["vault::tests::disk::opener_in_another_process", "--exact", "--test-threads=1"])
        .env("SEALPOST_TEST_VAULT", world.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let error = std::fs::read_to_string(&said).unwrap();
    std::fs::remove_file(&said).unwrap();
    let path = world.path().display();
    assert_eq!(error, format!("vault at {path} is in use by another process; stop it, or talk to the running daemon"));
    assert_eq!(error, fault(Vault::open(world.path(), &world.keys, 1 << 20)), "the same within one process");
}

#[tokio::test]
async fn syncs_of_many_tasks_end() {
    let world = World::new();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            world.put(&[&format!("e{n}")], contact("Asha", n), PutMode::Replace).unwrap();
            let vault = world.vault().clone();
            async move { vault.sync().await }
        })
        .collect();
    let mut all = tokio::task::JoinSet::new();
    for task in tasks {
        all.spawn(task);
    }
    assert!(all.join_all().await.into_iter().all(|result| result.is_ok()));
}

#[test]
fn a_snapshot_that_was_still_being_written_is_no_reason_not_to_open() {
    let mut world = World::new();
    world.put(&["e1"], contact("Asha", 1), PutMode::Replace).unwrap();
    world.reopen();
    let half = world.path().join("snap.00000000000FFFFF.generating");
    std::fs::write(&half, "half of").unwrap();
    world.reopen();
    assert_eq!(world.who(&["e1"]), "Asha");
    assert!(!half.exists());
}

#[test]
fn a_vault_that_was_never_made_whole_is_made_anew() {
    let keys = Keyring::generate();
    let dir = tempfile::tempdir().unwrap();
    let (place, unfinished) = (dir.path().join("vault"), dir.path().join("vault.new"));
    std::fs::create_dir(&unfinished).unwrap();
    std::fs::write(unfinished.join("conf"), "segment_size: 524288\nuse_compr").unwrap();
    let vault = Vault::open(&place, &keys, 1 << 20).unwrap();
    assert!(place.join("conf").exists() && !unfinished.exists());
    vault.close().unwrap();
}
