//! What a client reads from whatever answers at the address of its hub, for any bytes.

use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::letter::Letter;
use super::text::presentable;
use crate::client::{ClientError, HubAddress, HubClient, Timeouts};
use crate::secret::{AdminToken, ClientToken};
use crate::types::{ProjectName, Sequence, TypeSet};

/// How long a client waits for an answer: too short to ask twice, since what is asked twice is
/// answered alike.
const WAIT: Duration = Duration::from_millis(50);

thread_local! {
    /// One false hub for all calls of a thread.
    static FALSE_HUB: RefCell<Option<FalseHub>> = const { RefCell::new(None) };
}

/// What answers: bytes as they are, or an answer to every request.
enum Script {
    Bytes(Vec<u8>),
    Answer(Box<Letter>),
}

struct FalseHub {
    runtime: Runtime,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

/// An answer that is HTTP/2 and may make no sense otherwise, as a `Letter`: to a registration and to
/// a sync.
///
/// The client ends. What it takes from a hub can be shown on a terminal and holds no credentials;
/// entries rise and are of the types that were asked for.
pub fn hub_answer(bytes: &[u8]) {
    asked(Script::Answer(Box::new(Letter::read(bytes))));
}

/// Any bytes from where a hub should be, then the end.
pub fn hub_stream(bytes: &[u8]) {
    asked(Script::Bytes(bytes.to_vec()));
}

fn asked(script: Script) {
    FALSE_HUB.with_borrow_mut(|hub| {
        if hub.is_none() {
            *hub = FalseHub::start();
        }
        let Some(hub) = hub else {
            return;
        };
        *hub.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
        hub.runtime.block_on(ask(hub.address));
    });
}

async fn ask(address: SocketAddr) {
    let (Ok(address), Some((admin, token))) = (address.to_string().parse(), credentials()) else {
        return;
    };
    let timeouts = Timeouts {
        connect: WAIT,
        call: WAIT,
        sync_idle: WAIT,
        listen_idle: WAIT,
    };
    if let Err(error) = register(&address, timeouts, &admin).await {
        shown(&error);
    }
    if let Err(error) = sync(&address, timeouts, token).await {
        shown(&error);
    }
}

async fn register(
    address: &HubAddress,
    timeouts: Timeouts,
    admin: &AdminToken,
) -> Result<(), ClientError> {
    let Ok(project) = "project".parse::<ProjectName>() else {
        return Ok(());
    };
    let client = HubClient::connect(address, timeouts).await?;
    client.register(admin, &project).await.map(drop)
}

async fn sync(
    address: &HubAddress,
    timeouts: Timeouts,
    token: ClientToken,
) -> Result<usize, ClientError> {
    let client = HubClient::connect(address, timeouts).await?;
    let client = client.with_token(token);
    let types = TypeSet::all();
    let mut entries = client.sync(&types, Sequence::START).await?;
    let (mut last, mut count) = (Sequence::START, 0);
    while let Some(entry) = entries.next().await? {
        assert!(entry.sequence > last && types.contains(entry.entry_type));
        last = entry.sequence;
        count += 1;
    }
    Ok(count)
}

/// An error and its causes may be shown as they are, and are short.
fn shown(error: &ClientError) {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(presentable(&text), "{text:?}");
        next = error.source();
    }
    assert!(error.hint().is_none_or(|hint| presentable(&hint)));
}

fn credentials() -> Option<(AdminToken, ClientToken)> {
    Some((AdminToken::random().ok()?, ClientToken::random().ok()?))
}

impl FalseHub {
    fn start() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).ok()?;
        let address = listener.local_addr().ok()?;
        let script = Arc::new(Mutex::new(Script::Bytes(Vec::new())));
        let read = Arc::clone(&script);
        runtime.spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                tokio::spawn(serve(io, Arc::clone(&read)));
            }
        });
        Some(Self {
            runtime,
            address,
            script,
        })
    }
}

async fn serve(mut io: TcpStream, script: Arc<Mutex<Script>>) {
    let bytes = match &*script.lock().unwrap_or_else(PoisonError::into_inner) {
        Script::Bytes(bytes) => Some(bytes.clone()),
        Script::Answer(_) => None,
    };
    match bytes {
        Some(bytes) => {
            drop(io.write_all(&bytes).await);
            drop(io.shutdown().await);
            // What the client says is of no interest, but it has to be taken.
            let mut taken = Vec::new();
            drop(io.read_to_end(&mut taken).await);
        }
        None => {
            let Ok(mut connection) = h2::server::handshake(io).await else {
                return;
            };
            while let Some(Ok((_, respond))) = connection.accept().await {
                answer(respond, &script);
            }
        }
    }
}

/// Answers one request, as far as such an answer can be written.
fn answer(mut respond: h2::server::SendResponse<Bytes>, script: &Mutex<Script>) -> Option<()> {
    let script = script.lock().unwrap_or_else(PoisonError::into_inner);
    let Script::Answer(letter) = &*script else {
        return None;
    };
    let status: u16 = std::str::from_utf8(&letter.first).ok()?.parse().ok()?;
    let mut response = Response::builder().status(status).body(()).ok()?;
    *response.headers_mut() = letter.headers.clone();
    let mut stream = respond.send_response(response, false).ok()?;
    let last = letter.trailers.is_empty();
    stream.send_data(letter.body.clone().into(), last).ok()?;
    if !last {
        stream.send_trailers(letter.trailers.clone()).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: Timeouts = Timeouts {
        connect: Duration::from_secs(30),
        call: Duration::from_secs(30),
        sync_idle: Duration::from_secs(30),
        listen_idle: Duration::from_secs(30),
    };

    #[test]
    fn the_seeds_are_answers_that_are_taken() {
        let hub = FalseHub::start().unwrap();
        let (admin, token) = credentials().unwrap();
        let address: HubAddress = hub.address.to_string().parse().unwrap();
        let says = |seed: &[u8]| {
            *hub.script.lock().unwrap() = Script::Answer(Box::new(Letter::read(seed)));
        };
        says(include_bytes!("../../../../fuzz/seeds/hub_answer/sync"));
        let synced = hub.runtime.block_on(sync(&address, PATIENT, token));
        assert_eq!(synced.unwrap(), 2);
        says(include_bytes!(
            "../../../../fuzz/seeds/hub_answer/registered"
        ));
        let registered = hub.runtime.block_on(register(&address, PATIENT, &admin));
        registered.unwrap();
    }
}
