//! Devices as programs use them: handles, control codes, several at a time, memory of their own.

use std::cell::RefCell;
use std::rc::Rc;

use super::Stage;
use crate::machine::Kernel;
use crate::machine::Machine;
use crate::machine::irql;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
pub use crate::wdf::Answer;
use crate::wdf::Control;
use crate::wdf::Opened;
use crate::wdf::Output;

/// A handle that a program has to a device. It counts against unload until it is closed (D-08).
#[derive(Debug)]
pub struct Handle(Opened);

/// A control code that was sent without waiting for its answer (overlapped).
#[derive(Debug)]
pub struct Pending {
    request: Rc<RefCell<usize>>,
    answer: Rc<RefCell<Option<Answer>>>,
}

impl Pending {
    /// The answer, once it is there.
    pub fn answer(&self) -> Option<Answer> {
        self.answer.borrow().clone()
    }
}

/// Memory of a program, whose address it can put into what it sends.
#[derive(Debug)]
pub struct ProgramMemory {
    address: usize,
    length: usize,
}

impl ProgramMemory {
    /// Its address, as a program would write it into a structure.
    pub fn address(&self) -> u64 {
        self.address as u64
    }
}

/// The name of the object manager for a device's name as a program writes it: `\\.\NAME` is `\??\NAME`.
fn object_name(name: &str) -> String {
    match name.strip_prefix(r"\\.\") {
        Some(rest) => format!(r"\??\{rest}"),
        None => name.to_owned(),
    }
}

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

    /// Opens a device by name (`\\.\NAME` or `\??\NAME`), as a program does with CreateFile.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND if there is no such name, what the driver answered to the open if it refused, and
    /// STATUS_UNSUCCESSFUL if the machine stopped.
    pub fn open_device(&self, name: &str) -> Result<Handle, NtStatus> {
        let name = object_name(name);
        self.call("program: CreateFile", irql::PASSIVE, move |kernel| {
            open(kernel, Some(&name)).map(Handle)
        })
        .unwrap_or(Err(status::UNSUCCESSFUL))
    }

    /// Sends a control code to a handle and waits for the answer. `output` is what the output buffer holds before, which the direct
    /// methods show to the driver.
    pub fn device_control(
        &self,
        handle: &Handle,
        code: u32,
        input: &[u8],
        output: Vec<u8>,
    ) -> Answer {
        let pending = self.start_device_control(handle, code, input, output);
        let done = Rc::clone(&pending.answer);
        self.call(
            "program: GetOverlappedResult",
            irql::PASSIVE,
            move |kernel| {
                kernel.block("a program's request".to_owned(), None, move |_| {
                    done.borrow().is_some()
                });
            },
        );
        pending
            .answer()
            .unwrap_or_else(|| Answer::failed(status::UNSUCCESSFUL))
    }

    /// Sends a control code to a handle and does not wait: the answer comes as the machine runs.
    pub fn start_device_control(
        &self,
        handle: &Handle,
        code: u32,
        input: &[u8],
        output: Vec<u8>,
    ) -> Pending {
        let pending = Pending {
            request: Rc::default(),
            answer: Rc::default(),
        };
        let (input, opened) = (input.to_vec(), handle.0);
        let (request, answer) = (Rc::clone(&pending.request), Rc::clone(&pending.answer));
        self.spawn("program: DeviceIoControl", irql::PASSIVE, move |kernel| {
            kernel.running().of_program.set(true);
            let control = Control {
                code,
                input: &input,
                output: Output::Filled(output),
            };
            let result = crate::wdf::device_control(kernel, opened, control, |sent| {
                *request.borrow_mut() = sent;
            });
            *answer.borrow_mut() = Some(result);
        });
        pending
    }

    /// Cancels a control code that waits in a queue of the framework (CancelIoEx). What the driver has itself, it has to complete.
    pub fn cancel_device_control(&self, pending: &Pending) {
        let request = *pending.request.borrow();
        self.call("program: CancelIoEx", irql::PASSIVE, move |kernel| {
            crate::wdf::cancel(kernel, request);
        });
    }

    /// Closes a handle: the driver's cleanup, the cancellation of what waits, and the driver's close. A handle whose requests the
    /// driver keeps for ever is recorded as a hang (D-06).
    pub fn close_device(&self, handle: Handle) {
        self.call("program: CloseHandle", irql::PASSIVE, move |kernel| {
            close(kernel, handle.0);
        });
    }

    /// Gives a program memory with these bytes in it.
    pub fn program_memory(&self, bytes: &[u8]) -> ProgramMemory {
        let kernel = self.kernel();
        let ledger = kernel.ledger.begin("memory of a program");
        let block = kernel
            .arena
            .allocate(bytes.len().max(1), Purpose::Program, ledger, true);
        // SAFETY: the block was just made with this length.
        unsafe {
            block
                .as_ptr()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        ProgramMemory {
            address: block.as_ptr() as usize,
            length: bytes.len(),
        }
    }

    /// What a program's memory holds.
    pub fn read_program_memory(&self, memory: &ProgramMemory) -> Vec<u8> {
        let mut bytes = vec![0; memory.length];
        // SAFETY: a program's memory lives as long as the machine, unless it is given back, which takes it away.
        unsafe {
            bytes
                .as_mut_ptr()
                .copy_from_nonoverlapping(memory.address as *const u8, memory.length);
        }
        bytes
    }

    /// Takes a program's memory away.
    pub fn free_program_memory(&self, memory: ProgramMemory) {
        crate::nt::free_blocks(self.kernel(), &[memory.address], "freed by the program");
    }
}

/// [`Machine::ioctl`] on a thread that the caller started, for programs whose requests wait.
pub fn ioctl(
    kernel: &Kernel,
    code: u32,
    input: &[u8],
    output_length: usize,
) -> (NtStatus, Vec<u8>) {
    let opened = match open(kernel, None) {
        Ok(opened) => opened,
        Err(status) => return (status, Vec::new()),
    };
    let control = Control {
        code,
        input,
        output: Output::Fresh(output_length),
    };
    let answer = crate::wdf::device_control(kernel, opened, control, |_| ());
    close(kernel, opened);
    (answer.status, answer.moved())
}

/// Opens the device of this name, or the first that has one, on a program's thread.
fn open(kernel: &Kernel, name: Option<&str>) -> Result<Opened, NtStatus> {
    let life = &kernel.wdf.life;
    kernel.running().of_program.set(true);
    // From the moment that unload begins the I/O manager opens nothing (D-08).
    let loaded = match life.stage.get() {
        Stage::Loaded => true,
        Stage::Entering => false,
        Stage::None | Stage::Unloading | Stage::Gone => {
            return Err(status::OBJECT_NAME_NOT_FOUND);
        }
    };
    // A handle that is being opened keeps the driver too.
    life.handles.set(life.handles.get() + 1);
    let opened = crate::wdf::open(kernel, name, loaded);
    if opened.is_err() {
        life.handles.set(life.handles.get() - 1);
    }
    opened
}

fn close(kernel: &Kernel, opened: Opened) {
    let life = &kernel.wdf.life;
    kernel.running().of_program.set(true);
    crate::wdf::close(kernel, opened);
    life.handles.set(life.handles.get() - 1);
}
