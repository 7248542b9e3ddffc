//! What is measured: a server of our own, or one that runs already.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;
use vivace_base::Clock;

use super::args::{Protocol, SubjectArgs};
use super::error::BenchError;
use super::process;
use super::send::Sender;
use super::server::{Launcher, Server};
use crate::query_cli::Client;

/// The server that is measured.
#[derive(Debug)]
pub(super) enum Subject {
    Own { launcher: Launcher, server: Option<Server>, _dir: TempDir },
    Target { query: Url, otlp: Option<Url>, pid: Option<u32> },
}

impl Subject {
    /// Starts a server of our own, unless a target is named.
    pub(super) async fn new(args: &SubjectArgs, clock: &dyn Clock) -> Result<Self, BenchError> {
        if let Some(target) = &args.target {
            let (query, otlp) = (target.clone(), args.target_otlp.clone());
            return Ok(Self::Target { query, otlp, pid: args.target_pid });
        }
        let dir = tempfile::Builder::new().prefix("vivace-bench-").tempdir().map_err(|reason| {
            BenchError::File { action: "make a directory in", path: std::env::temp_dir(), reason }
        })?;
        let launcher = Launcher {
            data_dir: args.data_dir.clone().unwrap_or_else(|| dir.path().join("data")),
            memory_limit: args.memory_limit.bytes().to_string(),
            more: args.server_args.clone(),
            dir: dir.path().to_owned(),
        };
        let server = Some(launcher.start(clock).await?);
        Ok(Self::Own { launcher, server, _dir: dir })
    }

    /// Stops and starts a server of our own, which forgets what it had in memory, and says how long the start took.
    /// A target stays as it is.
    pub(super) async fn restart(&mut self, clock: &dyn Clock) -> Result<Option<Duration>, BenchError> {
        let Self::Own { launcher, server, .. } = self else { return Ok(None) };
        if let Some(server) = server.take() {
            server.stop(clock).await;
        }
        Ok(Some(server.insert(launcher.start(clock).await?).start_time))
    }

    /// The same, and between stop and start the kernel forgets what it has cached of files, unless it is to `keep` it.
    /// Says how long the start took and why the kernel did not, if so.
    pub(super) async fn restart_cold(
        &mut self,
        keep: bool,
        clock: &dyn Clock,
    ) -> Result<Option<(Duration, Result<(), String>)>, BenchError> {
        let Self::Own { server, .. } = self else { return Ok(None) };
        if let Some(server) = server.take() {
            server.stop(clock).await;
        }
        let dropped = if keep { Err("--keep-page-cache".to_owned()) } else { process::drop_page_cache() };
        Ok(self.restart(clock).await?.map(|took| (took, dropped)))
    }

    /// An error if the server has ended.
    pub(super) fn check(&mut self, during: &'static str) -> Result<(), BenchError> {
        match self {
            Self::Own { server: Some(server), .. } => server.check(during),
            _ => Ok(()),
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Own { server, .. } => server.as_ref().map(Server::pid),
            Self::Target { pid, .. } => *pid,
        }
    }

    /// Where the data is, when that is known.
    pub(super) fn data_dir(&self) -> Option<&Path> {
        match self {
            Self::Own { launcher, .. } => Some(&launcher.data_dir),
            Self::Target { .. } => None,
        }
    }

    /// Bytes of blocks, bytes of the write-ahead log, and bytes of everything.
    pub(super) fn disk_use(&self) -> Option<[u64; 3]> {
        let dir = self.data_dir()?;
        Some([dir.join("objects"), dir.join("wal"), PathBuf::from(dir)].map(|dir| process::disk_use(&dir)))
    }

    pub(super) fn client(&self) -> Result<Client, BenchError> {
        let url = match self {
            Self::Own { server: Some(server), .. } => server.query_url()?,
            Self::Own { server: None, .. } => {
                return Err(BenchError::Usage("the server is stopped".to_owned()));
            }
            Self::Target { query, .. } => query.clone(),
        };
        Ok(Client::new(url, None, &[])?)
    }

    pub(super) fn sender(&self, protocol: Protocol) -> Result<Sender, BenchError> {
        let grpc = protocol == Protocol::Grpc;
        let url = match self {
            Self::Own { server: Some(server), .. } => Some(server.otlp_url(grpc)?),
            Self::Own { server: None, .. } => None,
            Self::Target { otlp, .. } => otlp.clone(),
        };
        let url = url.ok_or_else(|| BenchError::Usage("there is nowhere to send spans to".to_owned()))?;
        if grpc { Sender::grpc(&url) } else { Sender::http(&url) }
    }
}
