//! The first sync of a big hub: as fast as one thread makes the same files of the same messages, in
//! memory that does not grow with them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;

use bytes::Bytes;
use camino::Utf8Path;
use ctx_config::paths::{CONTEXT_DIR, ContextDir, MirrorDir};
use ctx_hub::sync::render;
use ctx_hub::types::EntryType;
use ctx_hub::wire::convert::entry_from_wire;
use ctx_hub::wire::generated::EntryMsg;
use ctx_hub::wire::method::SYNC;

use crate::Failure;
use crate::bench::{Bench, utf8};
use crate::hub::Hub;
use crate::link::Link;
use crate::plot::Panel;
use crate::project::Project;
use crate::samples::{in_turn, timed};
use crate::table::{Report, Row};

const ARGUMENTS: [&str; 2] = ["connect", "sync"];
/// What the baseline puts together before it writes, in bytes.
const WRITE_BYTES: usize = 1024 * 1024;
/// What may be on its way to who reads the messages for the baseline.
const WINDOW: u32 = 1 << 20;

/// Its rate against the baseline's, and its memory.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let rate_of = bench.size(200_000, 100_000);
    let mut curve = Vec::new();
    for entries in [1_000, 100_000, 200_000, 1_000_000] {
        if entries > bench.size(1_000_000, 100_000) {
            break;
        }
        let hub = bench.hub(entries)?;
        let project = bench.project(&hub, "reader")?;
        if entries == rate_of {
            report.row(rate(bench, &hub, &project, entries)?);
        }
        empty(&project)?;
        let peak = project.measured(&ARGUMENTS)?.peak_mib;
        curve.push((entries, peak));
        if entries >= rate_of {
            let name = format!("first sync of {entries}, memory");
            report.row(
                Row::new(&name, peak, "MiB")
                    .against("bound", 64.0)
                    .at_most(1.0),
            );
        }
    }
    report.panel(Panel::new("Memory of a first sync", "entries", "MiB").line("peak", curve));
    Ok(())
}

fn rate(bench: &Bench, hub: &Hub, project: &Project, entries: u64) -> Result<Row, Failure> {
    let messages = messages(hub)?;
    if u64::try_from(messages.len())? != entries {
        return Err(format!("{} messages of {entries} came", messages.len()).into());
    }
    let folder = bench.folder()?;
    let folder = utf8(&folder)?;
    let (figure, limit) = in_turn(
        bench.rounds(5, 3),
        || {
            empty(project)?;
            timed(|| project.run(&ARGUMENTS))
        },
        || timed(|| mirror(&messages, folder)),
    )?;
    for entry_type in EntryType::ALL {
        let name = entry_type.mirror_file();
        let made = fs_err::read(folder.join(name))?;
        if made != fs_err::read(mirror_of(project)?.path().join(name))? {
            return Err(format!("{name} of the baseline is not that of the mirror").into());
        }
    }
    let count = f64::from(u32::try_from(entries)?);
    let against = "one thread: serde_json from memory, render, write, fdatasync";
    Ok(Row::new(
        &format!("first sync of {entries}"),
        count / figure.median(),
        "/s",
    )
    .against(against, count / limit.median())
    .at_least(0.6))
}

/// The messages of everything that `hub` has, as they come over the wire.
fn messages(hub: &Hub) -> Result<Vec<Bytes>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let token = hub.register("messages").await?;
        let link = Link::dial(hub.address(), WINDOW, None).await?;
        let mut stream = link.open(SYNC, &token, "{}".to_owned()).await?;
        let mut messages = Vec::new();
        while let Some(message) = stream.next().await? {
            // One of its own, as if each had been put there.
            messages.push(Bytes::copy_from_slice(&message));
        }
        Ok(messages)
    })
}

/// Makes the files of a mirror in `folder`, one message after the other.
fn mirror(messages: &[Bytes], folder: &Utf8Path) -> Result<(), Failure> {
    let mut files = BTreeMap::new();
    for message in messages {
        let message: EntryMsg = serde_json::from_slice(message)?;
        let entry = entry_from_wire(message)?;
        let (file, text) = match files.entry(entry.entry_type) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => {
                let path = folder.join(entry.entry_type.mirror_file());
                place.insert((fs_err::File::create(path)?, String::new()))
            }
        };
        text.push_str(&render(&entry));
        if text.len() >= WRITE_BYTES {
            file.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    for (file, text) in files.values_mut() {
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
    }
    Ok(())
}

fn mirror_of(project: &Project) -> Result<MirrorDir, Failure> {
    Ok(ContextDir::new(project.path()?.join(CONTEXT_DIR)).mirror())
}

/// Removes what is mirrored.
fn empty(project: &Project) -> Result<(), Failure> {
    match fs_err::remove_dir_all(mirror_of(project)?.path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
