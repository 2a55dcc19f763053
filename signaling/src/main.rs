//! `pillion-signal`: flags, logs and signals around the service.

use std::{fmt::Arguments, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Parser;
use pillion_signal::{Config, RelayConfig, Service, StoreConfig, Subnet, Tls};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Keeps Pillion's link records and address records; trusted with nothing.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where links are looked up by UDP; as --listen, but nowhere behind a proxy unless told.
    #[arg(long, value_name = "ADDRESS:PORT")]
    lookup: Option<SocketAddr>,
    /// Where records are kept; made when missing.
    #[arg(long, default_value = "pillion-signal-data", value_name = "FOLDER")]
    data: PathBuf,
    /// The certificate chain to serve with, in PEM.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A proxy stands before this service, at this address or in this network (10.0.0.0/8): of what
    /// comes from there believe the last address of X-Forwarded-For. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    behind_proxy: Vec<Subnet>,
    /// Most records kept, of which one address may have left a 256th.
    #[arg(long, default_value_t = 4_000_000, value_name = "COUNT")]
    max_records: u64,
    /// The store's cache, in MiB.
    #[arg(long, default_value_t = 48, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..))]
    cache: u16,
    /// Publishes a second from one address; 0 is no limit. An IPv6 /64 counts as an address; a /56 has
    /// twice as much of this and the other limits, a /48 four times.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    publish_rate: u32,
    /// Reads a second from one address; 0 is no limit.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    read_rate: u32,
    /// Mailbox requests a second from one address; 0 is no limit.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    mail_rate: u32,
    /// New connections a second from one address; 0 is no limit.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    connection_rate: u32,
    /// Connections at a time, of which one address may have a sixteenth; as many again at the relay.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    max_connections: u32,
    /// Threads that serve; as many as there are processors unless told otherwise.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Also run a relay here, for hosts with a live link and their viewers.
    #[arg(long, value_name = "ADDRESS:PORT")]
    relay: Option<SocketAddr>,
    /// Answer QUIC address discovery here (7842 is where hosts look).
    #[arg(
        long,
        requires = "relay",
        requires = "tls_cert",
        value_name = "ADDRESS:PORT"
    )]
    relay_quic: Option<SocketAddr>,
    /// A file with a secret; anybody who shows it may use the relay without a link.
    #[arg(long, requires = "relay", value_name = "FILE")]
    relay_secret_file: Option<PathBuf>,
    /// A file that says how to reach a PostgreSQL server, in place of --data (`host=… user=…`).
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "FILE")]
    postgres_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_env("PILLION_SIGNAL_LOG")
        // The relay names addresses and endpoints in its own log.
        .unwrap_or_else(|_| EnvFilter::new("error,pillion_signal=info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        // It would be said on standard error, with a panic where nobody reads that.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), format_args!("pillion-signal: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says a line. A service outlives anybody who reads what it says; the macros of the standard library would end it
/// with them.
fn say(mut to: impl Write, line: Arguments<'_>) {
    let _ = writeln!(to, "{line}");
}

fn run(flags: Flags) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = flags.threads {
        runtime.worker_threads(usize::from(threads));
    }
    let runtime = runtime.enable_all().build().context("the runtime")?;
    let config = config(flags)?;
    runtime.block_on(async {
        // Before anything is served, so that no signal is missed.
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let service = Service::start(config).await?;
        let addr = service.addr();
        say(std::io::stdout(), format_args!("listening on {addr}"));
        if let Some(relay) = service.relay_addr() {
            say(std::io::stdout(), format_args!("relay on {relay}"));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        service.stop().await;
        Ok(())
    })
}

fn config(flags: Flags) -> anyhow::Result<Config> {
    let mut config = Config::new(flags.listen, &flags.data);
    config.store = store(&flags)?;
    config.tls = match (&flags.tls_cert, &flags.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::from_files(cert, key)?),
        _ => None,
    };
    config.lookup = flags.lookup.or(match flags.behind_proxy.is_empty() {
        false => None,
        true => Some(flags.listen),
    });
    config.proxies = flags.behind_proxy;
    config.publish_rate = flags.publish_rate;
    config.read_rate = flags.read_rate;
    config.mail_rate = flags.mail_rate;
    config.connection_rate = flags.connection_rate;
    config.max_connections = flags.max_connections.max(1) as usize;
    let secret = flags.relay_secret_file.as_deref().map(line).transpose()?;
    config.relay = flags.relay.map(|listen| RelayConfig {
        listen,
        quic: flags.relay_quic,
        secret,
        max_connections: config.max_connections,
    });
    Ok(config)
}

fn store(flags: &Flags) -> anyhow::Result<StoreConfig> {
    #[cfg(feature = "postgres")]
    if let Some(file) = &flags.postgres_file {
        let connection = line(file)?;
        return Ok(StoreConfig::Postgres {
            connection,
            max_records: flags.max_records,
        });
    }
    Ok(StoreConfig::Embedded {
        folder: flags.data.clone(),
        max_records: flags.max_records,
        cache_bytes: usize::from(flags.cache) << 20,
    })
}

/// A file's one line; secrets stand in files, never among the flags.
fn line(file: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{} is empty", file.display());
    Ok(text.to_owned())
}
