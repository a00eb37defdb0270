//! A real Apache Kafka broker (KRaft, one node) on free loopback ports, with its data in a temporary folder.
//!
//! Its jars come from `peers/kafka/pom.xml`; `cargo xtask test` fetches them and names their folder in
//! `WARDLAKE_KAFKA_JARS`. Where that is not set, [`KafkaBroker::jars`] says so and the test is skipped.

mod client;

use std::{
    collections::VecDeque,
    env, fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
};

use krafka::KrafkaError;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

pub use client::KafkaClient;

/// Names the folder with the broker's jars.
const JARS: &str = "WARDLAKE_KAFKA_JARS";
/// What the broker logs once it answers.
const STARTED: &str = "Kafka Server started";
/// So many of its last lines tell why a broker ended.
const LAST_LINES: usize = 20;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum KafkaBrokerError {
    /// Its folder could not be written, or its process not waited for.
    #[error("the system refused a broker its folder or process: {0}")]
    System(#[from] io::Error),
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Java could not be started.
    #[error("`{program}` could not be started: {source}")]
    NotStarted {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("the broker ended:\n{last_lines}")]
    Ended {
        /// The end of what it printed.
        last_lines: String,
    },
    /// It refused a request of the test's own client.
    #[error("the broker refused: {0}")]
    Client(#[from] KrafkaError),
}

/// The broker. Dropping it kills it.
pub struct KafkaBroker {
    jars: PathBuf,
    folder: TempDir,
    ports: Ports,
    process: Option<Child>,
}

/// One port per listener; they stay the same over restarts.
struct Ports {
    plaintext: u16,
    sasl_plaintext: u16,
    sasl_ssl: u16,
    controller: u16,
}

impl Ports {
    /// The listeners are held until all ports are known, so that none is given out twice.
    fn free() -> io::Result<Self> {
        let held: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
        let port = |index: usize| held[index].local_addr().map(|address| address.port());
        Ok(Self { plaintext: port(0)?, sasl_plaintext: port(1)?, sasl_ssl: port(2)?, controller: port(3)? })
    }
}

impl KafkaBroker {
    /// The user that the SASL listeners know, by PLAIN and both SCRAM mechanisms.
    pub const USER: &str = "wardlake";
    /// Its password.
    pub const PASSWORD: &str = "kept-for-tests";

    /// The folder with the broker's jars, or why there is none.
    ///
    /// # Errors
    ///
    /// The reason, as the rest of a sentence that begins with "skipped:".
    pub fn jars() -> Result<PathBuf, &'static str> {
        match env::var_os(JARS) {
            Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
            _ => Err(
                "there is no Kafka broker here; `cargo xtask test` fetches one where Java 17 and Maven are installed",
            ),
        }
    }

    /// Formats a new broker's storage, starts it and returns once it answers.
    ///
    /// # Errors
    ///
    /// It could not be prepared or started, or ended by itself.
    pub async fn start(jars: &Path) -> Result<Self, KafkaBrokerError> {
        let folder = TempDir::with_prefix("wardlake-kafka-")?;
        let mut broker = Self { jars: jars.to_owned(), folder, ports: Ports::free()?, process: None };
        broker.write_certificates()?;
        fs::write(broker.file("server.properties"), broker.properties())?;
        broker.format().await?;
        broker.restart().await?;
        Ok(broker)
    }

    /// Starts a broker that was stopped or killed, on the same folder and ports; returns once it answers.
    ///
    /// # Errors
    ///
    /// It could not be started, or ended by itself.
    pub async fn restart(&mut self) -> Result<(), KafkaBrokerError> {
        let mut command = self.java("512m");
        command.args(["-Dorg.slf4j.simpleLogger.logFile=System.out", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
        command.arg("-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info");
        command.arg("kafka.Kafka").arg(self.file("server.properties"));
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|source| KafkaBrokerError::NotStarted { program: "java", source })?;
        let Some(output) = process.stdout.take() else {
            return Err(KafkaBrokerError::Ended { last_lines: "it has no output".to_owned() });
        };
        let mut lines = BufReader::new(output).lines();
        wait_until_started(&mut lines).await?;
        // Read on to the end: a full pipe would stop the broker.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.process = Some(process);
        Ok(())
    }

    /// Ends it in order (SIGTERM) and waits for its end.
    ///
    /// # Errors
    ///
    /// It could not be told or waited for.
    pub async fn stop(&mut self) -> Result<(), KafkaBrokerError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if let Some(id) = process.id() {
            let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            told.map_err(|source| KafkaBrokerError::NotStarted { program: "kill", source })?;
        }
        process.wait().await?;
        Ok(())
    }

    /// Ends it as a crash would (SIGKILL) and waits for its end.
    ///
    /// # Errors
    ///
    /// It could not be killed or waited for.
    pub async fn kill(&mut self) -> Result<(), KafkaBrokerError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await?;
        Ok(())
    }

    /// `host:port` without security.
    pub fn plaintext(&self) -> String {
        address(self.ports.plaintext)
    }

    /// `host:port` with SASL and without encryption.
    pub fn sasl_plaintext(&self) -> String {
        address(self.ports.sasl_plaintext)
    }

    /// `host:port` with SASL over TLS; trust [`KafkaBroker::ca_file`].
    pub fn sasl_ssl(&self) -> String {
        address(self.ports.sasl_ssl)
    }

    /// The certificate (PEM) that signed the broker's.
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A client that creates topics and writes records.
    ///
    /// # Errors
    ///
    /// The broker does not answer.
    pub async fn client(&self) -> Result<KafkaClient, KafkaBrokerError> {
        KafkaClient::connect(&self.plaintext()).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn java(&self, heap: &str) -> Command {
        let mut command = Command::new("java");
        // The faster compiler alone: a broker of a test lives for seconds.
        command.arg(format!("-Xmx{heap}")).arg("-XX:TieredStopAtLevel=1");
        command.arg("-cp").arg(self.jars.join("*")).stdin(Stdio::null());
        command
    }

    async fn format(&self) -> Result<(), KafkaBrokerError> {
        let mut command = self.java("256m");
        command.args(["kafka.tools.StorageTool", "format", "--cluster-id", "d2FyZGxha2UtdGVzdHMtMA", "--config"]);
        command.arg(self.file("server.properties"));
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            command.arg("--add-scram");
            command.arg(format!("{mechanism}=[name={},password={}]", Self::USER, Self::PASSWORD));
        }
        let output = command.output().await;
        let output = output.map_err(|source| KafkaBrokerError::NotStarted { program: "java", source })?;
        match output.status.success() {
            true => Ok(()),
            false => Err(KafkaBrokerError::Ended { last_lines: String::from_utf8_lossy(&output.stderr).into_owned() }),
        }
    }

    fn write_certificates(&self) -> Result<(), KafkaBrokerError> {
        let (ca_key, server_key) = (KeyPair::generate()?, KeyPair::generate()?);
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Wardlake's tests");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = ca.self_signed(&ca_key)?;
        let server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let server = server.signed_by(&server_key, &Issuer::new(ca, ca_key))?;
        fs::write(self.ca_file(), certificate.pem())?;
        fs::write(self.file("server.pem"), server_key.serialize_pem() + &server.pem())?;
        Ok(())
    }

    fn properties(&self) -> String {
        let Ports { plaintext, sasl_plaintext, sasl_ssl, controller } = self.ports;
        let (user, password) = (Self::USER, Self::PASSWORD);
        let (data, keys) = (self.file("data"), self.file("server.pem"));
        let clients = format!(
            "PLAINTEXT://127.0.0.1:{plaintext},SASL_PLAINTEXT://127.0.0.1:{sasl_plaintext},SASL_SSL://127.0.0.1:{sasl_ssl}"
        );
        let mut text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners={clients},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners={clients}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             ssl.keystore.type=PEM\nssl.keystore.location={keys}\nlog.dirs={data}\n\
             auto.create.topics.enable=false\ngroup.initial.rebalance.delay.ms=0\n\
             offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n\
             transaction.state.log.num.partitions=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n",
            keys = keys.display(),
            data = data.display(),
        );
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            let login = "org.apache.kafka.common.security";
            text += &format!(
                "listener.name.{listener}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required \
                 user_{user}=\"{password}\";\n\
                 listener.name.{listener}.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
                 listener.name.{listener}.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;\n"
            );
        }
        text
    }
}

async fn wait_until_started(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<(), KafkaBrokerError> {
    let mut last = VecDeque::new();
    while let Some(line) = lines.next_line().await? {
        if line.contains(STARTED) {
            return Ok(());
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    Err(KafkaBrokerError::Ended { last_lines: Vec::from(last).join("\n") })
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
