//! Records of any kind at the service: left, fetched, ended.

use std::time::Duration;

use bytes::Bytes;
use pillion_proto::{LinkId, LinkRecord};
use reqwest::Method;

use super::client::{SignalClient, SignalError, SignalService};

/// A service as a place for records. Checks nothing it brings: that is for the one who can read them.
#[derive(Clone)]
pub struct Records {
    client: SignalClient,
}

impl Records {
    /// At this service; asks nothing of it yet.
    ///
    /// # Errors
    /// No TLS settings can be made.
    pub fn new(service: &SignalService) -> Result<Records, SignalError> {
        let client = SignalClient::new(service)?;
        Ok(Records { client })
    }

    /// Leaves a record.
    ///
    /// # Errors
    /// The service has a newer one ([`SignalError::Conflict`]), refuses, or does not answer.
    pub async fn put(&self, id: &LinkId, record: &LinkRecord) -> Result<(), SignalError> {
        self.ask(Method::PUT, id, record.as_bytes()).await.map(drop)
    }

    /// Ends a record by its tombstone.
    ///
    /// # Errors
    /// As for [`Records::put`].
    pub async fn end(&self, id: &LinkId, tombstone: &LinkRecord) -> Result<(), SignalError> {
        let asked = self.ask(Method::DELETE, id, tombstone.as_bytes());
        asked.await.map(drop)
    }

    /// What is there, unchecked; `None` if there is nothing.
    ///
    /// # Errors
    /// The service refuses or does not answer.
    pub async fn get(&self, id: &LinkId) -> Result<Option<Bytes>, SignalError> {
        match self.ask(Method::GET, id, &[]).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SignalError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, method: Method, id: &LinkId, body: &[u8]) -> Result<Bytes, SignalError> {
        let path = format!("/v1/links/{id}");
        let asked = self.client.ask(method, &path, body, None, Duration::ZERO);
        asked.await
    }
}
