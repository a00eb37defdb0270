//! The file by which commands find the server that has the lake.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wardlake_connect::source::Secret;

/// Beside the other things that cost nothing to lose.
const FOLDER: &str = "_state";
const FILE: &str = "handover.json";

/// What stands in the file.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    address: SocketAddr,
    /// What commands show.
    command: String,
    /// What the server shows.
    server: String,
}

/// How a server is reached by the commands of its own user on its own machine.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) address: SocketAddr,
    /// What commands show.
    pub(crate) command: Secret,
    /// What the server shows.
    pub(crate) server: Secret,
}

/// A contact that commands can find, until this is dropped.
pub(crate) struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        // What is left over leads nowhere, which commands find out.
        let _ = fs::remove_file(&self.0);
    }
}

impl Contact {
    /// Of a server whose listener is bound to that address, with new secrets.
    pub(crate) fn new(bound: SocketAddr) -> Self {
        let here = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        let secret = || Secret::new(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        Self { address: SocketAddr::new(here, bound.port()), command: secret(), server: secret() }
    }

    /// Leaves it where commands look, readable by this user alone. `lake`: the lake's folder.
    pub(crate) fn publish(&self, lake: &Path) -> io::Result<Published> {
        let folder = lake.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let (path, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let written = Written {
            address: self.address,
            command: self.command.reveal().to_owned(),
            server: self.server.reveal().to_owned(),
        };
        // One that was left half written is not written through: it may be readable by others.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&new)?.write_all(&serde_json::to_vec(&written)?)?;
        fs::rename(&new, &path)?;
        Ok(Published(path))
    }

    /// The contact of the server that has the lake, or had it; none if there is none.
    pub(crate) fn find(lake: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(lake.join(FOLDER).join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Written { address, command, server } = serde_json::from_slice(&text)?;
        Ok(Some(Self { address, command: Secret::new(command), server: Secret::new(server) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_for_its_user_alone_and_goes_with_its_server() {
        let lake = own_folder();
        assert!(Contact::find(&lake).unwrap().is_none());
        let contact = Contact::new(SocketAddr::from(([0, 0, 0, 0], 7)));
        assert_eq!(contact.address, SocketAddr::from(([127, 0, 0, 1], 7)));
        assert_ne!(contact.command, contact.server);
        let published = contact.publish(&lake).unwrap();
        let found = Contact::find(&lake).unwrap().unwrap();
        assert_eq!((found.address, found.command), (contact.address, contact.command));
        assert_eq!(found.server, contact.server);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&published.0).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(published);
        assert!(Contact::find(&lake).unwrap().is_none());
        fs::remove_dir_all(&lake).unwrap();
    }

    /// A folder that this test alone has.
    fn own_folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wardlake-contact-{}", Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}
