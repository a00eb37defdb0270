//! The Apache Kafka broker of the tests: jars that `peers/kafka/pom.xml` names, fetched once by Maven.

use std::{fs, path::PathBuf, process::Command};

use crate::process::{TaskError, TaskResult, cache, output, root, run};

/// What is fetched.
const POM: &str = "peers/kafka/pom.xml";
/// The oldest Java that runs the broker.
const JAVA: u32 = 17;

/// The folder with the jars; `None` where the machine cannot run or fetch a broker, which is then said. What was fetched is
/// compared with the POM byte by byte; a difference fetches it anew.
pub(crate) fn jars() -> TaskResult<Option<PathBuf>> {
    if let Some(lack) = lack() {
        println!("no Kafka broker for the tests: {lack}");
        return Ok(None);
    }
    let pom = root().join(POM);
    let wanted =
        fs::read_to_string(&pom).map_err(|error| TaskError::Found(format!("{POM} cannot be read: {error}")))?;
    let Some(version) = broker_version(&wanted) else {
        return Err(TaskError::Found(format!("{POM} names no version of the broker")));
    };
    let folder = cache()?.join(format!("kafka-{version}"));
    let stamp = folder.join("fetched-pom.xml");
    if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == wanted) {
        return Ok(Some(folder));
    }
    println!("fetching Apache Kafka {version} into {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .map_err(|error| TaskError::Found(format!("{} cannot be emptied: {error}", folder.display())))?;
    }
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("--file").arg(&pom).arg(format!("-DoutputDirectory={}", folder.display()));
    run(&mut maven)?;
    // Last, so that a download that was cut short is done again.
    fs::write(&stamp, wanted)
        .map_err(|error| TaskError::Found(format!("{} cannot be written: {error}", stamp.display())))?;
    Ok(Some(folder))
}

/// What the machine lacks to run a broker.
fn lack() -> Option<String> {
    let java = output(Command::new("java").arg("-version")).ok();
    // It writes to the standard error: `openjdk version "17.0.15" …`.
    let version = java.and_then(|output| java_version(&String::from_utf8_lossy(&output.stderr)));
    match version {
        None => return Some(format!("there is no Java {JAVA} or newer")),
        Some(version) if version < JAVA => return Some(format!("Java is {version} and must be {JAVA} or newer")),
        Some(_) => {}
    }
    let has_maven = output(Command::new("mvn").arg("--version")).is_ok_and(|output| output.status.success());
    (!has_maven).then(|| "there is no Maven (`mvn`) to fetch it".to_owned())
}

fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    quoted.split(['.', '-', '+']).next()?.parse().ok()
}

/// The text of the `<version>` behind the broker's `<artifactId>`.
fn broker_version(pom: &str) -> Option<&str> {
    let (_, behind) = pom.split_once("<artifactId>kafka_2.13</artifactId>")?;
    let (_, behind) = behind.split_once("<version>")?;
    behind.split_once("</version>").map(|(version, _)| version.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_version("openjdk version \"25-ea\" 2025-09-16\n"), Some(25));
        assert_eq!(java_version("command not found"), None);
        let pom = "<version>0</version><artifactId>kafka_2.13</artifactId>\n  <version>4.4.0</version>";
        assert_eq!(broker_version(pom), Some("4.4.0"));
        assert_eq!(broker_version("<version>0</version>"), None);
    }
}
