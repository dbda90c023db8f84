//! What no message holds: put into the store before the message that names it, and taken out when
//! that has been used.

use async_nats::HeaderMap;
use async_nats::jetstream::object_store::ObjectStore;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use tokio::io::AsyncReadExt;

use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;

/// Bytes that travel in the message itself. The server's limit, with headers, is a MiB.
const INLINE: usize = 512 * 1024;
/// The most that is read back: what more than that is, nobody has put there.
const MOST: usize = 1 << 32;
/// The header that names what is in the store.
const LARGE: &str = "Hands-Large";

/// The payload of a message, and a header if the payload is elsewhere.
pub(crate) async fn put(
    store: &ObjectStore,
    name: &str,
    bytes: Vec<u8>,
    headers: &mut HeaderMap,
) -> Result<Vec<u8>, String> {
    if bytes.len() <= INLINE {
        return Ok(bytes);
    }
    let put = store.put(name, &mut bytes.as_slice()).await;
    put.map_err(|error| format!("the server did not store {} bytes: {error}", bytes.len()))?;
    headers.insert(LARGE, name);
    Ok(Vec::new())
}

/// What the message carries, or names.
pub(crate) async fn get(
    store: &ObjectStore,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<Vec<u8>, String> {
    let Some(name) = named(headers) else {
        return Ok(payload.to_vec());
    };
    let failed = |error: &dyn std::fmt::Display| format!("what the server stored: {error}");
    let object = tokio::time::timeout(PATIENCE, store.get(name)).await;
    let object = object.map_err(|_| "the server does not answer".to_owned())?;
    let mut object = object.map_err(|error| failed(&error))?;
    let size = object.info().size;
    if size > MOST {
        return Err(format!("what the server stored is too large: {size} bytes"));
    }
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 128 * 1024]);
    loop {
        // A server that has stopped sends nothing, and says nothing either.
        let read = tokio::time::timeout(PATIENCE, object.read(&mut piece)).await;
        let read = read.map_err(|_| "the server does not send what it stored".to_owned())?;
        match read.map_err(|error| failed(&error))? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

pub(crate) fn named(headers: Option<&HeaderMap>) -> Option<&str> {
    headers?.get(LARGE).map(|name| name.as_str())
}

/// Takes it out, and what the store remembers of it.
pub(crate) async fn remove(link: &ServerLink, names: &PoolNames, store: &ObjectStore, name: &str) {
    let _ = store.delete(name).await;
    let bucket = names.large();
    if let Ok(stream) = link
        .context()
        .get_stream_no_info(format!("OBJ_{bucket}"))
        .await
    {
        let subject = format!("$O.{bucket}.M.{}", URL_SAFE.encode(name));
        let _ = stream.purge().filter(subject).await;
    }
}
