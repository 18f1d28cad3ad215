<#
.SYNOPSIS
What the scripts of this folder share: checks of the machine, native tools, the driver's service, its counters, its filters.

.DESCRIPTION
For Windows PowerShell 5.1. What must agree with the driver's source (names of counters, keys of filters, the IOCTL) is in
Tollgate.facts.psd1, which check.py writes from that source.
#>
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$Facts = Import-PowerShellDataFile -LiteralPath (Join-Path $PSScriptRoot 'Tollgate.facts.psd1')
$StateFile = Join-Path $env:ProgramData 'TollgateVm\state.json'
$ServiceKey = "HKLM:\SYSTEM\CurrentControlSet\Services\$($Facts.ServiceName)"

# Windows 10, version 2004, which has ExAllocatePool2.
$FirstBuild = 19041

$NativeSource = @'
using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TollgateVm
{
    public static class Native
    {
        [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        private static extern SafeFileHandle CreateFileW(string name, uint access, uint share, IntPtr security,
            uint disposition, uint flags, IntPtr template);

        [DllImport("kernel32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        private static extern bool DeviceIoControl(SafeFileHandle device, uint code, IntPtr input, uint inputSize,
            [Out] byte[] output, uint outputSize, out uint returned, IntPtr overlapped);

        [DllImport("newdev.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        private static extern bool DiInstallDriverW(IntPtr parent, string inf, uint flags,
            [MarshalAs(UnmanagedType.Bool)] out bool reboot);

        private static SafeFileHandle Open(string device)
        {
            const uint genericRead = 0x80000000, shareReadWrite = 3, openExisting = 3;
            return CreateFileW(device, genericRead, shareReadWrite, IntPtr.Zero, openExisting, 0, IntPtr.Zero);
        }

        // Whether there is a device of that name. The handle is closed at once: a driver with open handles is not unloaded.
        public static bool Exists(string device)
        {
            using (SafeFileHandle handle = Open(device))
            {
                if (!handle.IsInvalid)
                {
                    return true;
                }
                int error = Marshal.GetLastWin32Error();
                const int fileNotFound = 2;
                if (error == fileNotFound)
                {
                    return false;
                }
                throw new Win32Exception(error);
            }
        }

        public static byte[] Query(string device, uint code, uint size)
        {
            using (SafeFileHandle handle = Open(device))
            {
                if (handle.IsInvalid)
                {
                    throw new Win32Exception(Marshal.GetLastWin32Error());
                }
                byte[] output = new byte[size];
                uint returned;
                if (!DeviceIoControl(handle, code, IntPtr.Zero, 0, output, size, out returned, IntPtr.Zero))
                {
                    throw new Win32Exception(Marshal.GetLastWin32Error());
                }
                Array.Resize(ref output, (int)returned);
                return output;
            }
        }

        // Returns whether a restart is needed.
        public static bool Install(string inf)
        {
            bool reboot;
            if (!DiInstallDriverW(IntPtr.Zero, inf, 0, out reboot))
            {
                throw new Win32Exception(Marshal.GetLastWin32Error());
            }
            return reboot;
        }
    }
}
'@

<#
.SYNOPSIS
Compiles the few functions of Windows that PowerShell has no cmdlet for. Does nothing the second time.
#>
function Initialize-Native {
    [CmdletBinding()]
    param()

    if (-not ('TollgateVm.Native' -as [type])) {
        Add-Type -TypeDefinition $NativeSource -Language CSharp
    }
}

<#
.SYNOPSIS
Stops with a clear sentence unless this is an elevated 64-bit PowerShell on a Windows that can run the driver.
#>
function Assert-TestMachine {
    [CmdletBinding()]
    param()

    if ([Environment]::OSVersion.Platform -ne [PlatformID]::Win32NT) {
        throw 'This script is for a Windows test machine.'
    }
    $build = [Environment]::OSVersion.Version.Build
    if ($build -lt $FirstBuild) {
        throw "This is Windows build $build. Tollgate needs Windows 10, version 2004 (build $FirstBuild), Windows 11 or Windows Server 2022."
    }
    if (-not [Environment]::Is64BitProcess) {
        throw 'This is a 32-bit PowerShell. Start Windows PowerShell, not Windows PowerShell (x86).'
    }
    $principal = New-Object -TypeName Security.Principal.WindowsPrincipal -ArgumentList ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'This PowerShell is not elevated. Start Windows PowerShell with "Run as administrator" and try again.'
    }
}

<#
.SYNOPSIS
Says what is going on.
#>
function Write-Step {
    [CmdletBinding()]
    param(
        # The sentence.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Message
    )

    Write-Information -MessageData "== $Message" -InformationAction Continue
}

<#
.SYNOPSIS
Says what was changed on this machine.
#>
function Write-Change {
    [CmdletBinding()]
    param(
        # What was changed, from what to what.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Message
    )

    Write-Information -MessageData "   changed: $Message" -InformationAction Continue
}

<#
.SYNOPSIS
Says what is already as it should be, or what was found.
#>
function Write-Finding {
    [CmdletBinding()]
    param(
        # What was found.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Message
    )

    Write-Information -MessageData "   $Message" -InformationAction Continue
}

<#
.SYNOPSIS
Runs a program, and throws with its output when its exit code is not one of those that mean success.

.OUTPUTS
An object with ExitCode and Output, an array of lines.
#>
function Invoke-Tool {
    [CmdletBinding()]
    param(
        # The program, with its extension.
        [Parameter(Mandatory)] [ValidatePattern('\.exe$')] [string] $Program,
        # Its arguments.
        [ValidateNotNull()] [string[]] $Arguments = @(),
        # The exit codes that mean success.
        [ValidateNotNullOrEmpty()] [int[]] $Success = @(0)
    )

    # What a program writes to its standard error would be a terminating error otherwise.
    $ErrorActionPreference = 'Continue'
    $output = @(& $Program $Arguments 2>&1 | ForEach-Object -Process { [string] $_ })
    $code = $LASTEXITCODE
    if ($Success -notcontains $code) {
        $said = ($output -join [Environment]::NewLine).Trim()
        throw "$Program $($Arguments -join ' ') ended with exit code $code.$([Environment]::NewLine)$said"
    }
    [pscustomobject] @{ ExitCode = $code; Output = $output }
}

<#
.SYNOPSIS
What prepare.ps1 has changed so far and must undo; an empty table when it has changed nothing.
#>
function Get-PreparedState {
    [CmdletBinding()]
    param()

    $state = @{}
    if (Test-Path -LiteralPath $StateFile) {
        $read = Get-Content -LiteralPath $StateFile -Raw | ConvertFrom-Json
        foreach ($property in $read.PSObject.Properties) {
            $state[$property.Name] = $property.Value
        }
    }
    $state
}

<#
.SYNOPSIS
Writes down what prepare.ps1 has changed; removes the file when that is nothing.
#>
function Set-PreparedState {
    [CmdletBinding()]
    param(
        # The table.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    if ($State.Count -eq 0) {
        $folder = Split-Path -Parent $StateFile
        if (Test-Path -LiteralPath $folder) {
            Remove-Item -LiteralPath $folder -Recurse
        }
        return
    }
    $null = New-Item -ItemType Directory -Force -Path (Split-Path -Parent $StateFile)
    $State | ConvertTo-Json | Set-Content -LiteralPath $StateFile -Encoding UTF8
}

<#
.SYNOPSIS
What the driver's source says of itself: names, codes, keys.
#>
function Get-TollgateFact {
    [CmdletBinding()]
    param()

    $Facts
}

<#
.SYNOPSIS
The driver's service, as Win32_SystemDriver shows it; nothing when there is none.
#>
function Get-TollgateService {
    [CmdletBinding()]
    param()

    Get-CimInstance -ClassName Win32_SystemDriver -Filter "Name='$($Facts.ServiceName)'"
}

<#
.SYNOPSIS
Whether the registry has the driver's service.
#>
function Test-TollgateServiceKey {
    [CmdletBinding()]
    param()

    Test-Path -LiteralPath $ServiceKey
}

<#
.SYNOPSIS
Waits until the driver's service is in a state.

.OUTPUTS
How long it took, as a TimeSpan.
#>
function Wait-TollgateState {
    [CmdletBinding()]
    param(
        # The state, as Win32_SystemDriver names it.
        [Parameter(Mandatory)] [ValidateSet('Running', 'Stopped')] [string] $State,
        # How long to wait.
        [ValidateRange(1, 3600)] [int] $TimeoutSeconds = 30
    )

    $watch = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        $service = Get-TollgateService
        $now = 'absent'
        if ($null -ne $service) {
            $now = $service.State
        }
        if ($now -eq $State) {
            return $watch.Elapsed
        }
        if ($watch.Elapsed.TotalSeconds -ge $TimeoutSeconds) {
            throw "The service $($Facts.ServiceName) is $now after $TimeoutSeconds seconds and should be $State. See docs/operating.md, `"It does not stop`"."
        }
        Start-Sleep -Milliseconds 100
    }
}

<#
.SYNOPSIS
Starts the driver, and waits for it. Does nothing when it runs already.
#>
function Start-Tollgate {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # How long to wait.
        [ValidateRange(1, 3600)] [int] $TimeoutSeconds = 30
    )

    $service = Get-TollgateService
    if ($null -eq $service) {
        throw "There is no service $($Facts.ServiceName). Run install.ps1 first."
    }
    if ($service.State -eq 'Running') {
        return
    }
    if ($PSCmdlet.ShouldProcess($Facts.ServiceName, 'Start the driver')) {
        $null = Invoke-Tool -Program 'sc.exe' -Arguments 'start', $Facts.ServiceName
        $null = Wait-TollgateState -State Running -TimeoutSeconds $TimeoutSeconds
    }
}

<#
.SYNOPSIS
Stops the driver, and waits for it. Does nothing when it does not run.

.OUTPUTS
How long it took, as a TimeSpan.
#>
function Stop-Tollgate {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # How long to wait.
        [ValidateRange(1, 3600)] [int] $TimeoutSeconds = 30
    )

    $service = Get-TollgateService
    if ($null -eq $service -or $service.State -eq 'Stopped') {
        return [TimeSpan]::Zero
    }
    if ($PSCmdlet.ShouldProcess($Facts.ServiceName, 'Stop the driver')) {
        # 1062: it has stopped meanwhile.
        $null = Invoke-Tool -Program 'sc.exe' -Arguments 'stop', $Facts.ServiceName -Success 0, 1062
        Wait-TollgateState -State Stopped -TimeoutSeconds $TimeoutSeconds
    }
}

<#
.SYNOPSIS
The driver's packages in the driver store.

.DESCRIPTION
Get-WindowsDriver is asked and not pnputil, whose output is in the machine's language.
#>
function Get-TollgatePackage {
    [CmdletBinding()]
    param()

    Get-WindowsDriver -Online | Where-Object -FilterScript {
        $_.OriginalFileName -and [IO.Path]::GetFileName($_.OriginalFileName) -eq $Facts.InfName
    }
}

<#
.SYNOPSIS
Whether the driver's control device is there.
#>
function Test-TollgateDevice {
    [CmdletBinding()]
    param()

    Initialize-Native
    [TollgateVm.Native]::Exists($Facts.DevicePath)
}

<#
.SYNOPSIS
The driver's counters, read from its control device.

.OUTPUTS
An ordered table from a counter's name to its value.
#>
function Get-TollgateCounter {
    [CmdletBinding()]
    param()

    Initialize-Native
    # Longer than today's reply, for a driver that has more counters than this script has names for.
    $reply = [TollgateVm.Native]::Query($Facts.DevicePath, $Facts.IoctlCounters, 16384)
    if ($reply.Length -lt 8) {
        throw "The driver's reply has $($reply.Length) bytes, which is less than its header."
    }
    $version = [BitConverter]::ToUInt32($reply, 0)
    if ($version -ne $Facts.Version) {
        throw "The driver's reply has version $version, and this script knows version $($Facts.Version)."
    }
    $count = [BitConverter]::ToUInt32($reply, 4)
    $known = [Math]::Min($count, $Facts.Counters.Count)
    if ($reply.Length -lt 8 + 8 * $known) {
        throw "The driver's reply has $($reply.Length) bytes, which is less than its $count counters."
    }
    $values = [ordered] @{}
    for ($index = 0; $index -lt $Facts.Counters.Count; $index++) {
        $value = [uint64] 0
        if ($index -lt $known) {
            $value = [BitConverter]::ToUInt64($reply, 8 + 8 * $index)
        }
        $values[$Facts.Counters[$index].Name] = $value
    }
    $values
}

<#
.SYNOPSIS
What the counters have grown by, without those that have not.
#>
function Compare-TollgateCounter {
    [CmdletBinding()]
    param(
        # The earlier reading.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $Before,
        # The later reading.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $After
    )

    $grown = [ordered] @{}
    foreach ($name in $After.Keys) {
        $by = [int64] $After[$name] - [int64] $Before[$name]
        if ($by -ne 0) {
            $grown[$name] = $by
        }
    }
    $grown
}

<#
.SYNOPSIS
The sum of the counters of some groups.
#>
function Measure-TollgateGroup {
    [CmdletBinding()]
    param(
        # A reading.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $Counters,
        # The groups.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string[]] $Group
    )

    $sum = [uint64] 0
    foreach ($counter in $Facts.Counters) {
        if ($Group -contains $counter.Group) {
            $sum += $Counters[$counter.Name]
        }
    }
    $sum
}

<#
.SYNOPSIS
The sums that must agree once no packet is on its way, and do not. Nothing when all agree.
#>
function Get-TollgateDisagreement {
    [CmdletBinding()]
    param(
        # A reading.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $Counters
    )

    $injected = $Counters['reinjected_receive'] + $Counters['reinjected_send']
    $pairs = @(
        @{
            What = 'classified = left + inline + answered + held + refused'
            Left = Measure-TollgateGroup -Counters $Counters -Group 'classified'
            Right = Measure-TollgateGroup -Counters $Counters -Group 'left', 'inline', 'answered', 'held', 'refused'
        }
        @{
            What = 'inline = inline_permitted + inline_blocked'
            Left = Measure-TollgateGroup -Counters $Counters -Group 'inline'
            Right = Measure-TollgateGroup -Counters $Counters -Group 'inline_verdict'
        }
        @{
            What = 'held = reinjected + blocked + dropped'
            Left = Measure-TollgateGroup -Counters $Counters -Group 'held'
            Right = Measure-TollgateGroup -Counters $Counters -Group 'reinjected', 'blocked', 'dropped'
        }
        @{
            What = 'reinjected_receive + reinjected_send = completed'
            Left = $injected
            Right = Measure-TollgateGroup -Counters $Counters -Group 'completed'
        }
    )
    foreach ($pair in $pairs) {
        if ($pair.Left -ne $pair.Right) {
            "$($pair.What): $($pair.Left) and $($pair.Right)"
        }
    }
}

<#
.SYNOPSIS
Reads the counters until their sums agree or the time is up.

.DESCRIPTION
Each counter is read on its own while packets go by, so on a busy machine the sums may never be seen to agree.

.OUTPUTS
The last reading.
#>
function Wait-TollgateQuiet {
    [CmdletBinding()]
    param(
        # How long to try.
        [ValidateRange(1, 600)] [int] $TimeoutSeconds = 10
    )

    $watch = [Diagnostics.Stopwatch]::StartNew()
    do {
        $counters = Get-TollgateCounter
        if (-not (Get-TollgateDisagreement -Counters $counters)) {
            break
        }
        Start-Sleep -Milliseconds 50
    } while ($watch.Elapsed.TotalSeconds -lt $TimeoutSeconds)
    $counters
}

<#
.SYNOPSIS
Which of the driver's objects the filter engine has.

.OUTPUTS
One object for each that is there, with What and Key.
#>
function Get-TollgateFilterObject {
    [CmdletBinding()]
    param()

    $file = Join-Path ([IO.Path]::GetTempPath()) "tollgate-wfp-$([Guid]::NewGuid()).xml"
    try {
        $null = Invoke-Tool -Program 'netsh.exe' -Arguments 'wfp', 'show', 'state', "file=$file"
        # Looked for as text: keys are unique, and where they stand in the report is not documented.
        $text = Get-Content -LiteralPath $file -Raw
        foreach ($object in $Facts.FilterObjects) {
            if ($text.IndexOf($object.Key, [StringComparison]::OrdinalIgnoreCase) -ge 0) {
                [pscustomobject] @{ What = $object.What; Key = $object.Key }
            }
        }
    } finally {
        if (Test-Path -LiteralPath $file) {
            Remove-Item -LiteralPath $file
        }
    }
}

Export-ModuleMember -Function @(
    'Assert-TestMachine'
    'Compare-TollgateCounter'
    'Get-PreparedState'
    'Get-TollgateCounter'
    'Get-TollgateDisagreement'
    'Get-TollgateFact'
    'Get-TollgateFilterObject'
    'Get-TollgatePackage'
    'Get-TollgateService'
    'Initialize-Native'
    'Invoke-Tool'
    'Set-PreparedState'
    'Start-Tollgate'
    'Stop-Tollgate'
    'Test-TollgateDevice'
    'Test-TollgateServiceKey'
    'Wait-TollgateQuiet'
    'Wait-TollgateState'
    'Write-Change'
    'Write-Finding'
    'Write-Step'
)
