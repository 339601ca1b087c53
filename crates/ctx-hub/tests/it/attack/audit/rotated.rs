//! The trail rotates: its size is bounded, a reader that follows misses nothing, and what somebody
//! cut out, changed or put in is seen.

use ctx_hub::server::audit::{AuditReport, verify};
use ctx_hub::wire::method::STATUS;

use super::*;

const FILE_BYTES: u64 = 4_096;
const FILES: u32 = 4;

fn small() -> TestHub {
    TestHub::start_with(|config| {
        config.settings.audit.file_bytes = FILE_BYTES;
        config.settings.audit.files = FILES;
    })
}

/// The files of the trail, oldest first.
fn files(dir: &DataDir) -> Vec<camino::Utf8PathBuf> {
    let named = |entry: std::io::Result<camino::Utf8DirEntry>| entry.unwrap().into_path();
    let all = dir.path().read_dir_utf8().unwrap().map(named);
    let mut files: Vec<_> = all
        .filter(|path| path.file_name().unwrap().starts_with("audit"))
        .collect();
    // `audit-…` sorts before `audit.…`.
    files.sort();
    files
}

async fn status(peer: &Peer, token: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(peer.json(STATUS, token, "{}").await.code(), "0");
    }
}

fn clean(report: &AuditReport) -> bool {
    report.findings.is_empty() && report.more == 0
}

#[tokio::test]
async fn the_trail_takes_no_more_room_than_it_was_given_and_is_read_as_one() {
    let hub = small();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut follower = AuditReader::new(dir);
    let mut followed = Vec::new();
    for _ in 0..40 {
        status(&peer, &token, 7).await;
        while let Some(found) = follower.read_next().unwrap() {
            match found {
                Found::Line { line, .. } => followed.push(line.n),
                Found::Damaged(damage) => panic!("{damage:?}"),
            }
        }
    }
    let kept = files(dir);
    assert_eq!(kept.len(), FILES as usize, "{kept:?}");
    for file in &kept {
        let length = fs_err::metadata(file).unwrap().len();
        assert!(length < FILE_BYTES + 1_024, "{file} has {length} bytes");
    }
    let read: Vec<u64> = lines(dir).iter().map(|line| line.n).collect();
    let last = *read.last().unwrap();
    assert_eq!(read, (read[0]..=last).collect::<Vec<_>>());
    assert!(read[0] > 1, "the oldest lines are gone");
    // Whoever followed has seen them, each once.
    assert_eq!(followed, (1..=last).collect::<Vec<_>>());
    let report = verify(dir).unwrap();
    assert!(clean(&report), "{report:?}");
}

#[tokio::test]
async fn a_rotation_never_overwrites_what_stands_in_its_way() {
    let hub = small();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let in_the_way = dir.older_audit(1);
    fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&in_the_way)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"somebody's\n"))
        .unwrap();
    status(&peer, &token, 40).await;
    assert_eq!(fs_err::read_to_string(&in_the_way).unwrap(), "somebody's\n");
    // The trail went on in its place, and not one line of it is gone.
    let text = fs_err::read_to_string(dir.audit()).unwrap();
    assert!(text.starts_with("{\"v\":1,\"n\":1,"), "{text}");
    assert!(text.len() as u64 > FILE_BYTES);
}

#[tokio::test]
async fn what_was_cut_out_changed_or_put_in_is_found() {
    let mut hub = small();
    let dir = hub.data_dir().clone();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    status(&peer, &token, 40).await;
    drop(peer);
    hub.stop();
    let report = verify(&dir).unwrap();
    assert!(clean(&report), "{report:?}");
    let oldest = files(&dir)[1].clone();
    let whole = fs_err::read_to_string(&oldest).unwrap();
    let wrong = |text: &str| {
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&oldest)
            .unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let report = verify(&dir).unwrap();
        assert!(!clean(&report), "{text}");
        assert_eq!(report.findings[0].path, oldest);
        report.findings[0].clone()
    };
    let rows: Vec<&str> = whole.lines().collect();
    let joined = |rows: Vec<&str>| {
        rows.iter()
            .map(|row| format!("{row}\n"))
            .collect::<String>()
    };
    let mut cut = rows.clone();
    cut.remove(3);
    assert_eq!(wrong(&joined(cut)).line, Some(4));
    let changed = rows[3].replace("127.0.0.1", "127.0.0.2");
    let mut put = rows.clone();
    put[3] = &changed;
    assert_eq!(wrong(&joined(put)).line, Some(4));
    let mut twice = rows.clone();
    twice.insert(3, rows[2]);
    assert_eq!(wrong(&joined(twice)).line, Some(4));
    let mut torn = rows.clone();
    torn[3] = "not a line";
    assert_eq!(wrong(&joined(torn)).line, Some(4));
    // A whole file: the next one says what should stand before it.
    fs_err::remove_file(&oldest).unwrap();
    let report = verify(&dir).unwrap();
    assert!(
        report.findings[0].detail.contains("before it are missing"),
        "{report:?}"
    );
}
