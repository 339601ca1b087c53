//! A hub that streams its log to a client which discards it, beside a server that has nothing to do
//! but to send the same bytes.

use std::io::{BufWriter, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use ctx_hub::wire::method::SYNC;

use crate::Failure;
use crate::bench::{Bench, utf8};
use crate::link::Link;
use crate::samples::{Samples, in_turn};
use crate::sender::Sender;
use crate::table::{Report, Row};

/// What may be on its way without having been asked for, in bytes: that of a `ctx` client.
const WINDOW: u32 = 2 * 1024 * 1024;

/// The rate of the stream against that of a tonic stream, and a copy over TCP beside it.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let entries = bench.size(200_000, 100_000);
    let rounds = bench.rounds(9, 5);
    let hub = bench.hub(entries)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let token = runtime.block_on(hub.register("reader"))?;
    let folder = bench.folder()?;
    let file = utf8(&folder)?.join("messages");
    let message = runtime.block_on(keep(hub.address(), &token, &file))? / entries;
    let sender = Sender::start(&file)?;
    let read = |address, token: &str| runtime.block_on(read(address, token, entries));
    let (figure, limit) = in_turn(
        rounds,
        || read(hub.address(), &token),
        || read(sender.grpc(), ""),
    )?;
    let copied: Samples = (0..rounds)
        .map(|_| copy(sender.tcp()).map(|took| took.as_secs_f64()))
        .collect::<Result<_, _>>()?;
    let count = f64::from(u32::try_from(entries)?);
    let name = format!("streaming {entries} entries");
    report.row(
        Row::new(&name, count / figure.median(), "/s")
            .against(
                "a tonic stream of the same messages, encoded and in memory",
                count / limit.median(),
            )
            .at_least(0.7),
    );
    report.row(
        Row::new(
            &format!("a copy of these bytes over TCP, in messages of {message} bytes"),
            count / copied.median(),
            "/s",
        )
        .described("for orientation"),
    );
    Ok(())
}

/// Reads a whole stream and keeps its messages in `file`, each behind its length; how many bytes
/// they are.
async fn keep(address: SocketAddr, token: &str, file: &Utf8Path) -> Result<u64, Failure> {
    let link = Link::dial(address, WINDOW, None).await?;
    let mut file = BufWriter::new(fs_err::File::create_new(file)?);
    let mut stream = link.open(SYNC, token, "{}".to_owned()).await?;
    let mut bytes = 0;
    while let Some(message) = stream.next().await? {
        let length = u32::try_from(message.len())?;
        file.write_all(&length.to_be_bytes())?;
        file.write_all(&message)?;
        bytes += u64::from(length);
    }
    file.flush()?;
    Ok(bytes)
}

/// Reads a whole stream, of which nothing is kept; how long it took.
async fn read(address: SocketAddr, token: &str, entries: u64) -> Result<Duration, Failure> {
    let link = Link::dial(address, WINDOW, None).await?;
    let since = Instant::now();
    let mut stream = link.open(SYNC, token, "{}".to_owned()).await?;
    let mut messages = 0;
    while stream.more().await? {
        while stream.take().is_some() {
            messages += 1;
        }
    }
    let took = since.elapsed();
    if messages != entries {
        return Err(format!("{messages} messages of {entries} came").into());
    }
    Ok(took)
}

/// Reads everything that is sent at `address`.
fn copy(address: SocketAddr) -> Result<Duration, Failure> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; 64 * 1024];
    let since = Instant::now();
    stream.write_all(b"\n")?;
    while stream.read(&mut buffer)? > 0 {}
    Ok(since.elapsed())
}
