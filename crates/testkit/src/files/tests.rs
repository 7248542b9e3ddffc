use super::*;

fn files(seed: u64) -> SimulatedFiles {
    SimulatedFiles::new(Arc::default(), SeededRandomness::new(seed))
}

fn read(files: &SimulatedFiles, name: &str) -> Option<Vec<u8>> {
    files.contents().remove(Path::new(name))
}

#[test]
fn what_was_synced_survives_and_the_rest_may_not() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let files = files(seed);
        let mut file = files.create(Path::new("/d/a")).expect("made");
        file.append(b"safe").expect("written");
        file.sync().expect("synced");
        files.sync_dir(Path::new("/d")).expect("synced");
        file.append(b"loose").expect("written");
        files.create(Path::new("/d/b")).expect("made");
        files.cut_power();
        let left = read(&files, "/d/a").expect("its name was synced");
        assert!(left.starts_with(b"safe"), "seed {seed}: {left:?}");
        outcomes.insert((left == b"safe", left == b"safeloose", read(&files, "/d/b").is_some()));
    }
    assert!(outcomes.len() >= 5, "{outcomes:?}");
}

#[test]
fn after_a_failed_sync_a_good_one_says_nothing() {
    let mut kept = BTreeSet::new();
    for seed in 0..50 {
        let files = files(seed);
        let mut file = files.create(Path::new("/d/a")).expect("made");
        files.sync_dir(Path::new("/d")).expect("synced");
        file.append(b"loose").expect("written");
        files.fail_at_random(100);
        file.sync().expect_err("told to fail");
        files.fail_at_random(0);
        file.sync().expect("the system takes the pages for clean");
        files.cut_power();
        kept.insert(read(&files, "/d/a").expect("there") == b"loose");
    }
    assert_eq!(kept, BTreeSet::from([false, true]));
}

#[test]
fn a_rename_happens_whole_or_not_at_all_and_a_kill_loses_nothing() {
    let mut kept = BTreeSet::new();
    for seed in 0..50 {
        let files = files(seed);
        let mut file = files.create(Path::new("/d/new")).expect("made");
        file.append(b"x").expect("written");
        file.sync().expect("synced");
        files.sync_dir(Path::new("/d")).expect("synced");
        files.rename(Path::new("/d/new"), Path::new("/d/name")).expect("renamed");
        files.kill();
        assert_eq!(read(&files, "/d/name"), Some(b"x".to_vec()));
        files.cut_power();
        let (old, new) = (read(&files, "/d/new"), read(&files, "/d/name"));
        assert!(old.is_some() != new.is_some(), "seed {seed}");
        kept.insert(new.is_some());
    }
    assert_eq!(kept, BTreeSet::from([false, true]));
}

#[test]
fn nothing_works_once_the_fuse_has_blown() {
    let fuse = Arc::new(Fuse::default());
    let files = SimulatedFiles::new(Arc::clone(&fuse), SeededRandomness::new(1));
    fuse.blow_after(1, Fault::AfterEffect);
    files.create(Path::new("/d/a")).expect("the fuse holds");
    files.create(Path::new("/d/b")).expect_err("it blows");
    assert!(fuse.has_blown() && read(&files, "/d/b").is_some());
    files.create(Path::new("/d/c")).expect_err("it has blown");
    assert_eq!(read(&files, "/d/c"), None);
}
