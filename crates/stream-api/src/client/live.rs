//! Live inputs, and where they are sent on to.

use super::StreamClient;
use crate::endpoints::Op;
use crate::error::Error;
use crate::op::live_inputs::{LiveInput, LiveInputSettings, LiveInputs};
use crate::op::outputs::{NewOutput, Output, OutputEdit};

impl StreamClient {
    /// Lists live inputs, without their secrets; with `include_counts`, how many there are.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn live_inputs(&self, include_counts: bool) -> Result<LiveInputs, Error> {
        let query: &[_] = if include_counts {
            &[("include_counts", "true".to_owned())]
        } else {
            &[]
        };
        let envelope = self.call(Op::LiveInputsList, &[], query, None).await?;
        Ok(envelope.result.unwrap_or_default())
    }

    /// Makes a live input.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the settings are out of their bounds.
    pub async fn create_live_input(
        &self,
        settings: &LiveInputSettings,
    ) -> Result<LiveInput, Error> {
        settings.check()?;
        self.send_json(Op::LiveInputsCreate, &[], settings).await
    }

    /// Reads one live input, its secrets among it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an input that is not there.
    pub async fn live_input(&self, id: &str) -> Result<LiveInput, Error> {
        self.result(Op::LiveInputsGet, &[id], &[], None).await
    }

    /// Changes settings of one live input. Fields that the service does not take are dropped
    /// silently there: compare the answer with what was wanted.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the settings are out of their bounds.
    pub async fn update_live_input(
        &self,
        id: &str,
        settings: &LiveInputSettings,
    ) -> Result<LiveInput, Error> {
        settings.check()?;
        self.send_json(Op::LiveInputsUpdate, &[id], settings).await
    }

    /// Deletes one live input. Its recordings stay.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an input that is not there.
    pub async fn delete_live_input(&self, id: &str) -> Result<(), Error> {
        self.done(Op::LiveInputsDelete, &[id]).await
    }

    /// Gives a live input new secrets; the old ones stop working.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an input that is not there. After an error that is no
    /// refusal the secrets may be new: read the input.
    pub async fn rotate_live_input_keys(&self, id: &str) -> Result<LiveInput, Error> {
        self.result(Op::LiveInputsRotateKeys, &[id], &[], None)
            .await
    }

    /// Lists where a live input is sent on to.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an input that is not there.
    pub async fn outputs(&self, live_input: &str) -> Result<Vec<Output>, Error> {
        self.elements(Op::OutputsList, &[live_input]).await
    }

    /// Sends a live input on to another service.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the output is out of its bounds.
    pub async fn create_output(
        &self,
        live_input: &str,
        output: &NewOutput,
    ) -> Result<Output, Error> {
        output.check()?;
        self.send_json(Op::OutputsCreate, &[live_input], output)
            .await
    }

    /// Switches an output on or off.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an output that is not there.
    pub async fn update_output(
        &self,
        live_input: &str,
        output: &str,
        edit: OutputEdit,
    ) -> Result<Output, Error> {
        let parameters = [live_input, output];
        self.send_json(Op::OutputsUpdate, &parameters, &edit).await
    }

    /// Deletes one output. An active one hangs up within half a minute.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells an output that is not there.
    pub async fn delete_output(&self, live_input: &str, output: &str) -> Result<(), Error> {
        self.done(Op::OutputsDelete, &[live_input, output]).await
    }
}
