//! Files that a task needs, and files that it makes, by way of the server.

use std::future::Future;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::large;
use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;

/// Bytes that are read and written at a time.
const PIECE: usize = 128 * 1024;

/// Keeps files on the server by the hash of what is in them, for as long as the pool keeps
/// outcomes, or until they are [removed](Self::remove).
#[derive(Clone, Debug)]
pub struct RunFiles {
    link: ServerLink,
    names: PoolNames,
}

impl RunFiles {
    pub(crate) fn new(link: &ServerLink, names: &PoolNames) -> RunFiles {
        RunFiles {
            link: link.clone(),
            names: names.clone(),
        }
    }

    /// Stores a file, and tells the name by which it can be had: one for a run, and what is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or the server does not take it.
    pub fn put(
        &self,
        run: &str,
        file: &Path,
    ) -> impl Future<Output = Result<String, String>> + Send + use<> {
        let (own, run, file) = (self.clone(), run.to_owned(), file.to_owned());
        let puts = async move {
            let shown = file.display();
            let failed = |error: &dyn std::fmt::Display| format!("`{shown}`: {error}");
            let hash = hash_of(&file).await.map_err(|error| failed(&error))?;
            let name = format!("{run}.f.{hash}");
            let store = own.store().await?;
            if store.info(&name).await.is_ok() {
                return Ok(name);
            }
            let mut source = tokio::fs::File::open(&file)
                .await
                .map_err(|error| failed(&error))?;
            let put = store.put(name.as_str(), &mut source).await;
            put.map_err(|error| failed(&format!("the server did not store it: {error}")))?;
            Ok(name)
        };
        let done = self.link.run(puts);
        async move { done.await.unwrap_or_else(|_| Err(ended())) }
    }

    /// Writes what is stored under this name into a new file, and checks that it is what was
    /// stored.
    ///
    /// # Errors
    ///
    /// When it is not there, or not what it was, or cannot be written.
    pub fn get(
        &self,
        name: &str,
        file: &Path,
    ) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let (own, name, file) = (self.clone(), name.to_owned(), file.to_owned());
        let gets = async move {
            let done = own.fetched(&name, &file).await;
            if done.is_err() {
                let _ = tokio::fs::remove_file(&file).await;
            }
            done
        };
        let done = self.link.run(gets);
        async move { done.await.unwrap_or_else(|_| Err(ended())) }
    }

    async fn fetched(&self, name: &str, file: &PathBuf) -> Result<(), String> {
        let shown = file.display();
        let failed = |error: &dyn std::fmt::Display| format!("`{shown}`: {error}");
        let store = self.store().await?;
        let object = tokio::time::timeout(PATIENCE, store.get(name)).await;
        let object = object.map_err(|_| failed(&"the server does not answer"))?;
        let mut object = object.map_err(|error| failed(&error))?;
        let opened = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(file)
            .await;
        let mut out = opened.map_err(|error| failed(&error))?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
        loop {
            let read = tokio::time::timeout(PATIENCE, object.read(&mut piece)).await;
            let read = read.map_err(|_| failed(&"the server does not send it"))?;
            let length = read.map_err(|error| failed(&error))?;
            if length == 0 {
                break;
            }
            hash.update(&piece[..length]);
            let wrote = out.write_all(&piece[..length]).await;
            wrote.map_err(|error| failed(&error))?;
        }
        out.flush().await.map_err(|error| failed(&error))?;
        let is_it = name.rsplit('.').next() == Some(hex(&hash.finalize()).as_str());
        match is_it {
            true => Ok(()),
            false => Err(failed(&"what came is not what was stored")),
        }
    }

    /// The server need not keep it any more.
    pub fn remove(&self, name: &str) {
        let (own, name) = (self.clone(), name.to_owned());
        self.link.spawn(async move {
            if let Ok(store) = own.store().await {
                large::remove(&own.link, &own.names, &store, &name).await;
            }
        });
    }

    async fn store(&self) -> Result<async_nats::jetstream::object_store::ObjectStore, String> {
        let store = self
            .link
            .context()
            .get_object_store(self.names.large())
            .await;
        store.map_err(|error| format!("the server's store of files: {error}"))
    }
}

fn ended() -> String {
    "the connection has ended".to_owned()
}

async fn hash_of(file: &Path) -> std::io::Result<String> {
    let mut source = tokio::fs::File::open(file).await?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match source.read(&mut piece).await? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(&piece[..length]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
