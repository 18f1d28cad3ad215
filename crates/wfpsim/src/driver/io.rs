//! Control requests as a program sends them.

use super::Stage;
use crate::machine::Kernel;
use crate::machine::Machine;
use crate::machine::irql;
use crate::nt::NtStatus;
use crate::nt::status;

impl Machine {
    /// Sends a control code through the driver's control device, as a program does with DeviceIoControl: opens a handle,
    /// sends, waits for the answer, closes the handle. Gives the status and the bytes that reached the program.
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034) if there is no device with a symbolic link, STATUS_NO_SUCH_DEVICE
    /// (0xC000000E) if it is not finished (D-02), STATUS_UNSUCCESSFUL if the machine stopped first; a request that the
    /// driver never completes is recorded as a hang (D-06).
    pub fn ioctl(&self, code: u32, input: &[u8], output_length: usize) -> (NtStatus, Vec<u8>) {
        let input = input.to_vec();
        let answer = self.call("program: DeviceIoControl", irql::PASSIVE, move |kernel| {
            ioctl(kernel, code, &input, output_length)
        });
        answer.unwrap_or((status::UNSUCCESSFUL, Vec::new()))
    }
}

/// [`Machine::ioctl`] on a thread that the caller started, for programs whose requests wait.
pub fn ioctl(
    kernel: &Kernel,
    code: u32,
    input: &[u8],
    output_length: usize,
) -> (NtStatus, Vec<u8>) {
    let life = &kernel.wdf.life;
    // From the moment that unload begins the I/O manager opens nothing (D-08).
    let loaded = match life.stage.get() {
        Stage::Loaded => true,
        Stage::Entering => false,
        Stage::None | Stage::Unloading | Stage::Gone => {
            return (status::OBJECT_NAME_NOT_FOUND, Vec::new());
        }
    };
    let opened = match crate::wdf::open(kernel, loaded) {
        Ok(opened) => opened,
        Err(status) => return (status, Vec::new()),
    };
    life.handles.set(life.handles.get() + 1);
    let answer = crate::wdf::device_control(kernel, opened, code, input, output_length);
    life.handles.set(life.handles.get() - 1);
    answer
}
