//! Who reads through the HTTP door.

use wardlake_access::Viewer;

/// The viewer of a request that reads. Nobody signs in: whoever may knock reads as the one who runs the server.
pub(crate) fn of_request() -> Viewer {
    wardlake_load::local_viewer()
}
