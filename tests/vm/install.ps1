<#
.SYNOPSIS
Adds the driver's package to the driver store, creates its service, and starts it.

.DESCRIPTION
The package is a primitive driver: its INF has a DefaultInstall section and no device. `pnputil /add-driver /install` is tried
first. Microsoft's documentation promises primitive drivers the DiInstallDriver function and says of pnputil's /install only that it
installs on matching devices, so when there is no service afterwards, that function is called.

The same package twice changes nothing. Another version is an upgrade: the driver is stopped, the new package installed and the old
one removed from the driver store.

.PARAMETER Package
The folder with tollgate.inf, tollgate.sys and tollgate.cat.

.PARAMETER NoStart
Leaves the driver stopped, for instance to write its parameters first.

.EXAMPLE
.\install.ps1 -Package C:\tollgate

.NOTES
Exit codes: 0 done; 1 failed; 3010 done, Windows must be restarted.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Container })]
    [string] $Package = (Get-Location -PSProvider FileSystem).ProviderPath,

    [switch] $NoStart
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force

<#
.SYNOPSIS
Stops with what to do when a file of the package is missing or its signature is not trusted here.
#>
function Assert-Package {
    [CmdletBinding()]
    param(
        # The folder.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $Path
    )

    $fact = Get-TollgateFact
    foreach ($name in $fact.PackageFiles) {
        $file = Join-Path $Path $name
        if (-not (Test-Path -LiteralPath $file -PathType Leaf)) {
            throw "$file is missing. The package is the folder that cargo xtask package or the WDK's build has made."
        }
    }
    foreach ($name in $fact.SignedFiles) {
        $signature = Get-AuthenticodeSignature -LiteralPath (Join-Path $Path $name)
        if ($signature.Status -ne 'Valid') {
            throw "The signature of $name is $($signature.Status): $($signature.StatusMessage) Run prepare.ps1 first, which has Windows trust the package's certificate."
        }
        Write-Finding "$name is signed by $($signature.SignerCertificate.Subject)."
    }
}

try {
    Assert-TestMachine
    $Package = (Resolve-Path -LiteralPath $Package).ProviderPath
    $fact = Get-TollgateFact

    Write-Step 'Package'
    Assert-Package -Path $Package

    Write-Step 'Driver store'
    $inf = Join-Path $Package $fact.InfName
    $before = @(Get-TollgatePackage)
    $restart = $false
    if ($PSCmdlet.ShouldProcess($inf, 'Add to the driver store and install')) {
        if ($before.Count -gt 0) {
            # The image of a running driver is in use, and its replacement would wait for a restart.
            $took = Stop-Tollgate
            if ($took -gt [TimeSpan]::Zero) {
                Write-Change ("the driver, stopped for the upgrade in {0:N1} s." -f $took.TotalSeconds)
            }
        }
        # 259: nothing to install on, or installed already. 3010: done, and Windows must be restarted.
        $added = Invoke-Tool -Program 'pnputil.exe' -Arguments '/add-driver', $inf, '/install' -Success 0, 259, 3010
        $restart = $added.ExitCode -eq 3010
        if (-not (Test-TollgateServiceKey)) {
            Write-Finding 'pnputil has not created the service; calling DiInstallDriver.'
            Initialize-Native
            $restart = [TollgateVm.Native]::Install($inf) -or $restart
        }
        if (-not (Test-TollgateServiceKey)) {
            throw "The package was added, and there is no service $($fact.ServiceName). The end of $env:SystemRoot\INF\setupapi.dev.log says why."
        }
        $known = @($before | ForEach-Object -Process { $_.Driver })
        $new = @(Get-TollgatePackage | Where-Object -FilterScript { $known -notcontains $_.Driver })
        foreach ($entry in $new) {
            Write-Change "$($entry.Driver), version $($entry.Version), added to the driver store."
        }
        if ($new.Count -eq 0) {
            Write-Finding 'This package was in the driver store already.'
        } else {
            foreach ($entry in $before) {
                $null = Invoke-Tool -Program 'pnputil.exe' -Arguments '/delete-driver', $entry.Driver -Success 0, 3010
                Write-Change "$($entry.Driver), version $($entry.Version), removed from the driver store."
            }
        }
    }

    if (-not $NoStart -and -not $restart) {
        Write-Step 'Start'
        if ($PSCmdlet.ShouldProcess($fact.ServiceName, 'Start the driver')) {
            Start-Tollgate
            $service = Get-TollgateService
            Write-Finding "$($service.Name) is $($service.State), from $($service.PathName)."
            $objects = @(Get-TollgateFilterObject)
            Write-Finding "The filter engine has $($objects.Count) of the driver's $($fact.FilterObjects.Count) objects."
            $there = @($objects | ForEach-Object -Process { $_.Key })
            foreach ($object in $fact.FilterObjects) {
                if ($there -notcontains $object.Key) {
                    Write-Finding "missing: $($object.What)"
                }
            }
            if ($objects.Count -eq 0) {
                throw 'The driver runs without its filters. Is the service BFE running? See docs/operating.md, "It runs and counts nothing".'
            }
        }
    }
    if ($restart) {
        Write-Step 'Done. Restart Windows, then start the driver: sc.exe start tollgate'
        exit 3010
    }
    Write-Step 'Done.'
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
