//! `wardlake serve`: the one process that listens, and the only room that knows status codes.
