<#
.SYNOPSIS
Makes a virtual machine ready for testing the driver: test signing, certificate, Driver Verifier, crash dump.

.DESCRIPTION
Each setting is looked at first, changed only when it is not yet as asked, and written down, so that -Undo can set it back to what
it was. Run it as often as you like. Most of it takes effect with the next start of Windows, which the script asks for and does not do.

For a virtual machine that may crash: take a checkpoint first.

.PARAMETER Certificate
The certificate of the package. Without it, the only *.cer file beside the package's INF file (-Package) is taken.

.PARAMETER Package
The folder with the driver's package.

.PARAMETER Verify
The drivers that Driver Verifier watches. With netio.sys and ndis.sys as well, special pool also holds what the platform allocates for
this driver, clones and their MDLs among them; the machine becomes slow.

.PARAMETER LowResources
Lets Driver Verifier fail allocations at random, from some minutes after the start of Windows on.

.PARAMETER Dump
Kernel, which is enough to debug a driver, or Complete, which needs a page file of the size of the memory.

.PARAMETER TrackNblOwner
What NDIS remembers of each NET_BUFFER_LIST for !ndiskd.nbl: 1 its last owner, 3 its history, 4 its history with stacks.
Left alone when it is not given.

.PARAMETER Force
Replaces settings of Driver Verifier that are not this script's.

.PARAMETER Undo
Sets everything back that this script has changed.

.EXAMPLE
.\prepare.ps1 -Package C:\tollgate

.EXAMPLE
.\prepare.ps1 -Package C:\tollgate -Verify tollgate.sys, netio.sys, ndis.sys -LowResources -TrackNblOwner 4

.EXAMPLE
.\prepare.ps1 -Undo

.NOTES
Exit codes: 0 done, nothing to restart for; 1 failed; 3010 done, Windows must be restarted.
#>
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Prepare')]
param(
    [Parameter(ParameterSetName = 'Prepare')]
    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Leaf })]
    [string] $Certificate,

    [Parameter(ParameterSetName = 'Prepare')]
    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Container })]
    [string] $Package = (Get-Location -PSProvider FileSystem).ProviderPath,

    [Parameter(ParameterSetName = 'Prepare')]
    [ValidatePattern('^[A-Za-z0-9_.-]+\.sys$')]
    [string[]] $Verify = @('tollgate.sys'),

    [Parameter(ParameterSetName = 'Prepare')]
    [switch] $LowResources,

    [Parameter(ParameterSetName = 'Prepare')]
    [ValidateSet('Kernel', 'Complete')]
    [string] $Dump = 'Kernel',

    [Parameter(ParameterSetName = 'Prepare')]
    [ValidateRange(0, 4)]
    [int] $TrackNblOwner,

    [Parameter(ParameterSetName = 'Prepare')]
    [switch] $Force,

    [Parameter(Mandatory, ParameterSetName = 'Undo')]
    [switch] $Undo
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force

$CrashControl = 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
$MemoryManagement = 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management'
$NdisParameters = 'HKLM:\SYSTEM\CurrentControlSet\Services\NDIS\Parameters'

# Special pool, force IRQL checking, pool tracking, I/O verification, deadlock detection, security checks, miscellaneous checks,
# DDI compliance checking (rule C-60 of docs/contract.md).
$VerifierFlags = 0x1 -bor 0x2 -bor 0x8 -bor 0x10 -bor 0x20 -bor 0x100 -bor 0x800 -bor 0x20000
$VerifierLowResources = 0x4

<#
.SYNOPSIS
A value of the registry; nothing when it is not there.
#>
function Get-RegistryValue {
    [CmdletBinding()]
    param(
        # The key.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Key,
        # The value's name.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Name
    )

    $item = Get-Item -LiteralPath $Key -ErrorAction SilentlyContinue
    if ($null -ne $item) {
        $item.GetValue($Name, $null)
    }
}

<#
.SYNOPSIS
Sets a REG_DWORD and writes down what it was.

.OUTPUTS
Whether something was changed.
#>
function Set-RegistryNumber {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The key, which must exist.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Key,
        # The value's name.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Name,
        # What it is to be.
        [Parameter(Mandatory)] [ValidateRange(0, 2147483647)] [int] $Value,
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    $was = Get-RegistryValue -Key $Key -Name $Name
    if ($was -eq $Value) {
        Write-Finding "$Name is $Value already."
        return $false
    }
    if (-not $PSCmdlet.ShouldProcess("$Key, $Name", "Set to $Value")) {
        return $false
    }
    if (-not $State.ContainsKey($Name)) {
        # -1 stands for a value that was not there.
        $State[$Name] = -1
        if ($null -ne $was) {
            $State[$Name] = $was
        }
        Set-PreparedState -State $State
    }
    $null = New-ItemProperty -LiteralPath $Key -Name $Name -PropertyType DWord -Value $Value -Force
    $shown = 'absent'
    if ($null -ne $was) {
        $shown = $was
    }
    Write-Change "$Name, from $shown to $Value."
    $true
}

<#
.SYNOPSIS
Sets a REG_DWORD back to what was written down.

.OUTPUTS
Whether something was changed.
#>
function Restore-RegistryNumber {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The key.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Key,
        # The value's name.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Name,
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    if (-not $State.ContainsKey($Name) -or -not $PSCmdlet.ShouldProcess("$Key, $Name", 'Set back')) {
        return $false
    }
    $was = [int] $State[$Name]
    if ($was -lt 0) {
        Remove-ItemProperty -LiteralPath $Key -Name $Name -ErrorAction SilentlyContinue
        Write-Change "$Name, removed as it was before."
    } else {
        $null = New-ItemProperty -LiteralPath $Key -Name $Name -PropertyType DWord -Value $was -Force
        Write-Change "$Name, back to $was."
    }
    $State.Remove($Name)
    Set-PreparedState -State $State
    $true
}

<#
.SYNOPSIS
Whether this start of Windows loads test-signed drivers.
#>
function Test-TestSigning {
    [CmdletBinding()]
    param()

    $options = [string] (Get-RegistryValue -Key 'HKLM:\SYSTEM\CurrentControlSet\Control' -Name 'SystemStartOptions')
    ($options -split '\s+') -contains 'TESTSIGNING'
}

<#
.SYNOPSIS
Whether the firmware refuses test signing. False on machines without UEFI.
#>
function Test-SecureBoot {
    [CmdletBinding()]
    param()

    try {
        Confirm-SecureBootUEFI
    } catch [PlatformNotSupportedException] {
        $false
    }
}

<#
.SYNOPSIS
Has Windows load test-signed drivers from its next start on.

.OUTPUTS
Whether something was changed.
#>
function Enable-TestSigning {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    if (Test-TestSigning) {
        Write-Finding 'Test signing is on already.'
        return $false
    }
    if ($State.ContainsKey('TestSigning')) {
        Write-Finding 'Test signing was switched on already, and waits for a restart.'
        return $true
    }
    if (Test-SecureBoot) {
        throw 'Secure Boot is on, and with it Windows loads no test-signed driver. Switch it off in the settings of the virtual machine, then run this script again.'
    }
    if (-not $PSCmdlet.ShouldProcess('boot configuration', 'Switch test signing on')) {
        return $false
    }
    $null = Invoke-Tool -Program 'bcdedit.exe' -Arguments '/set', 'testsigning', 'on'
    $State['TestSigning'] = 'off'
    Set-PreparedState -State $State
    Write-Change 'test signing, from off to on.'
    $true
}

<#
.SYNOPSIS
Has Windows trust the certificate that the package is signed with.
#>
function Import-PackageCertificate {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The file.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Path,
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    $certificate = New-Object -TypeName Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList $Path
    $added = @()
    if ($State.ContainsKey('Certificates')) {
        $added = @($State['Certificates'])
    }
    foreach ($store in 'Root', 'TrustedPublisher') {
        $place = "Cert:\LocalMachine\$store\$($certificate.Thumbprint)"
        if (Test-Path -LiteralPath $place) {
            Write-Finding "$($certificate.Subject) is in $store already."
            continue
        }
        if ($PSCmdlet.ShouldProcess("$($certificate.Subject) ($($certificate.Thumbprint))", "Add to $store")) {
            $null = Import-Certificate -FilePath $Path -CertStoreLocation "Cert:\LocalMachine\$store"
            $added += $place
            $State['Certificates'] = $added
            Set-PreparedState -State $State
            Write-Change "$($certificate.Subject) added to $store."
        }
    }
}

<#
.SYNOPSIS
Sets Driver Verifier, unless someone else has.

.OUTPUTS
Whether something was changed.
#>
function Set-Verifier {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The drivers.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string[]] $Driver,
        # What to check.
        [Parameter(Mandatory)] [ValidateRange(1, 2147483647)] [int] $Flags,
        # Replace settings that are not this script's.
        [switch] $Force,
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    $wanted = $Driver -join ' '
    $drivers = ([string] (Get-RegistryValue -Key $MemoryManagement -Name 'VerifyDrivers')).Trim()
    $level = Get-RegistryValue -Key $MemoryManagement -Name 'VerifyDriverLevel'
    if ($drivers -eq $wanted -and $level -eq $Flags) {
        Write-Finding ("Driver Verifier watches {0} with 0x{1:X} already." -f $wanted, $Flags)
        return $false
    }
    if ($drivers -and -not $State.ContainsKey('Verifier') -and -not $Force) {
        throw "Driver Verifier is set already, for: $drivers. That is not this script's setting. Run verifier.exe /reset and restart, or use -Force."
    }
    if (-not $PSCmdlet.ShouldProcess($wanted, ("Driver Verifier, flags 0x{0:X}" -f $Flags))) {
        return $false
    }
    $arguments = @('/flags', ('0x{0:X}' -f $Flags), '/driver') + $Driver
    # 2: done, and Windows must be restarted.
    $null = Invoke-Tool -Program 'verifier.exe' -Arguments $arguments -Success 0, 2
    $State['Verifier'] = $wanted
    Set-PreparedState -State $State
    Write-Change ("Driver Verifier watches {0} with 0x{1:X}." -f $wanted, $Flags)
    $true
}

<#
.SYNOPSIS
Undoes what this script has done.

.OUTPUTS
Whether Windows must be restarted.
#>
function Undo-Preparation {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The table of what was changed.
        [Parameter(Mandatory)] [ValidateNotNull()] [hashtable] $State
    )

    $restart = $false
    if ($State.ContainsKey('Verifier') -and $PSCmdlet.ShouldProcess('Driver Verifier', 'Reset')) {
        $null = Invoke-Tool -Program 'verifier.exe' -Arguments '/reset' -Success 0, 2
        $State.Remove('Verifier')
        Set-PreparedState -State $State
        Write-Change 'Driver Verifier, reset.'
        $restart = $true
    }
    foreach ($name in 'CrashDumpEnabled', 'AlwaysKeepMemoryDump') {
        $restart = (Restore-RegistryNumber -Key $CrashControl -Name $name -State $State) -or $restart
    }
    $restart = (Restore-RegistryNumber -Key $NdisParameters -Name 'TrackNblOwner' -State $State) -or $restart
    if ($State.ContainsKey('Certificates') -and $PSCmdlet.ShouldProcess('certificates', 'Remove')) {
        foreach ($place in @($State['Certificates'])) {
            if (Test-Path -LiteralPath $place) {
                Remove-Item -LiteralPath $place
                Write-Change "$place, removed."
            }
        }
        $State.Remove('Certificates')
        Set-PreparedState -State $State
    }
    if ($State.ContainsKey('TestSigning') -and $PSCmdlet.ShouldProcess('boot configuration', 'Switch test signing off')) {
        $null = Invoke-Tool -Program 'bcdedit.exe' -Arguments '/set', 'testsigning', 'off'
        $State.Remove('TestSigning')
        Set-PreparedState -State $State
        Write-Change 'test signing, off.'
        $restart = $true
    }
    $restart
}

try {
    Assert-TestMachine
    $state = Get-PreparedState
    if ($Undo) {
        Write-Step 'Undo'
        if ($state.Count -eq 0) {
            Write-Finding 'This script has changed nothing here.'
        }
        $restart = Undo-Preparation -State $state
    } else {
        if (-not $Certificate) {
            $found = @(Get-ChildItem -LiteralPath $Package -Filter '*.cer' -File)
            if ($found.Count -ne 1) {
                throw "There are $($found.Count) *.cer files in $Package, and one was expected. Say which with -Certificate."
            }
            $Certificate = $found[0].FullName
        }

        Write-Step 'Test signing'
        $restart = Enable-TestSigning -State $state

        Write-Step 'Certificate'
        Import-PackageCertificate -Path (Resolve-Path -LiteralPath $Certificate).ProviderPath -State $state

        Write-Step 'Crash dump'
        $dumpType = @{ Complete = 1; Kernel = 2 }[$Dump]
        $restart = (Set-RegistryNumber -Key $CrashControl -Name 'CrashDumpEnabled' -Value $dumpType -State $state) -or $restart
        # Otherwise Windows may delete a dump when the disk is short of room.
        $restart = (Set-RegistryNumber -Key $CrashControl -Name 'AlwaysKeepMemoryDump' -Value 1 -State $state) -or $restart

        if ($PSBoundParameters.ContainsKey('TrackNblOwner')) {
            Write-Step 'History of NET_BUFFER_LISTs'
            $restart = (Set-RegistryNumber -Key $NdisParameters -Name 'TrackNblOwner' -Value $TrackNblOwner -State $state) -or $restart
        }

        Write-Step 'Driver Verifier'
        $flags = $VerifierFlags
        if ($LowResources) {
            $flags = $flags -bor $VerifierLowResources
        }
        $restart = (Set-Verifier -Driver $Verify -Flags $flags -Force:$Force -State $state) -or $restart
    }
    if ($restart) {
        Write-Step 'Done. Restart Windows now: Restart-Computer'
        exit 3010
    }
    Write-Step 'Done. There is nothing to restart for.'
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
