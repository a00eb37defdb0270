//! wardlake-stack
