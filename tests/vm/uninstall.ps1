<#
.SYNOPSIS
Stops the driver, removes it, and proves that nothing of it is left.

.DESCRIPTION
The proof looks at the service, the device, the filter engine, the driver store and the files, whether or not there was anything to
remove; so the script can be run again, and run alone to look.

.PARAMETER ProofOnly
Removes nothing, and only looks.

.PARAMETER StopTimeoutSeconds
How long the driver may take to stop.

.EXAMPLE
.\uninstall.ps1

.NOTES
Exit codes: 0 nothing is left; 1 failed; 2 something is left, and is listed; 3010 removed, and Windows must be restarted.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [switch] $ProofOnly,

    [ValidateRange(1, 3600)]
    [int] $StopTimeoutSeconds = 30
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force

<#
.SYNOPSIS
Everything of the driver that is on this machine, one line each.
#>
function Get-Remainder {
    [CmdletBinding()]
    param()

    $fact = Get-TollgateFact
    $service = Get-TollgateService
    if ($null -ne $service) {
        "service: $($service.Name) is $($service.State)"
    }
    if (Test-TollgateServiceKey) {
        "registry: HKLM\SYSTEM\CurrentControlSet\Services\$($fact.ServiceName)"
    }
    if (Test-TollgateDevice) {
        "device: $($fact.DevicePath)"
    }
    foreach ($object in Get-TollgateFilterObject) {
        "filter engine: $($object.What) $($object.Key)"
    }
    foreach ($package in Get-TollgatePackage) {
        "driver store: $($package.Driver), $($package.OriginalFileName)"
    }
    $folders = @(
        Join-Path $env:SystemRoot 'System32\DriverStore\FileRepository'
        Join-Path $env:SystemRoot 'System32\drivers'
    )
    foreach ($folder in $folders) {
        foreach ($file in Get-ChildItem -LiteralPath $folder -Filter $fact.ImageName -Recurse -File -ErrorAction SilentlyContinue) {
            "file: $($file.FullName)"
        }
    }
}

try {
    Assert-TestMachine
    $fact = Get-TollgateFact
    $restart = $false

    if (-not $ProofOnly) {
        Write-Step 'Stop'
        if ($PSCmdlet.ShouldProcess($fact.ServiceName, 'Stop the driver')) {
            $took = Stop-Tollgate -TimeoutSeconds $StopTimeoutSeconds
            if ($took -gt [TimeSpan]::Zero) {
                Write-Change ("the driver, stopped in {0:N1} s." -f $took.TotalSeconds)
            } else {
                Write-Finding 'The driver was not running.'
            }
        }

        Write-Step 'Remove'
        $packages = @(Get-TollgatePackage)
        if ($packages.Count -eq 0) {
            Write-Finding 'The driver store has no package of it.'
        }
        foreach ($package in $packages) {
            if (-not $PSCmdlet.ShouldProcess($package.Driver, 'Uninstall and remove from the driver store')) {
                continue
            }
            # Undoes what the INF did, the service included, and removes the package: Microsoft's page on uninstalling driver packages
            # names this command and DiUninstallDriver as the two ways.
            $removed = Invoke-Tool -Program 'pnputil.exe' -Arguments '/delete-driver', $package.Driver, '/uninstall' -Success 0, 3010
            $restart = ($removed.ExitCode -eq 3010) -or $restart
            Write-Change "$($package.Driver), uninstalled and removed from the driver store."
        }
        if ((Test-TollgateServiceKey) -and -not $restart -and $PSCmdlet.ShouldProcess($fact.ServiceName, 'Delete the service')) {
            # 1072: marked for deletion already, which ends with the last handle on the service.
            $null = Invoke-Tool -Program 'sc.exe' -Arguments 'delete', $fact.ServiceName -Success 0, 1072
            Write-Change "the service, deleted, because uninstalling the package had left it. Please report that."
        }
    }

    Write-Step 'Proof'
    $left = @(Get-Remainder)
    if ($left.Count -eq 0) {
        Write-Finding 'No service, device, filter, package or file of the driver is left.'
        Write-Step 'Done.'
        exit 0
    }
    foreach ($line in $left) {
        Write-Finding $line
    }
    if ($restart) {
        Write-Step 'The rest goes with a restart. Run this script again after it: Restart-Computer'
        exit 3010
    }
    Write-Step "$($left.Count) things are left."
    exit 2
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
