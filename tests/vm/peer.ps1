<#
.SYNOPSIS
The second virtual machine: an echo server for smoke.ps1 and stress.ps1, with IPsec if asked.

.DESCRIPTION
Opens Windows' firewall for the test, requires IPsec towards the machine under test when a key is given, serves until the time is up
or Ctrl+C is pressed, and takes both back. The driver need not be installed here; it may be.

.PARAMETER Port
The first of three ports.

.PARAMETER Seconds
How long to serve.

.PARAMETER Client
The addresses of the machine under test. Needed for IPsec.

.PARAMETER PreSharedKey
The key, the same as given to smoke.ps1.

.PARAMETER Encapsulation
ESP or AH, the same as given to smoke.ps1.

.PARAMETER LocalOnly
Changes nothing on this machine: for the machine under test itself, over loopback.

.PARAMETER Undo
Serves nothing, and takes back what an earlier run may have left.

.EXAMPLE
.\peer.ps1

.EXAMPLE
.\peer.ps1 -Client 192.0.2.10, 2001:db8::10 -PreSharedKey 'for this test'

.NOTES
Exit codes: 0 done; 1 failed.
#>
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Plain')]
param(
    [ValidateRange(1, 65533)]
    [int] $Port = 5666,

    [ValidateRange(1, 604800)]
    [int] $Seconds = 3600,

    [Parameter(Mandatory, ParameterSetName = 'IPsec')]
    [ValidateNotNullOrEmpty()]
    [Net.IPAddress[]] $Client,

    [Parameter(Mandatory, ParameterSetName = 'IPsec')]
    [ValidateLength(8, 128)]
    [string] $PreSharedKey,

    [Parameter(ParameterSetName = 'IPsec')]
    [ValidateSet('ESP', 'AH')]
    [string] $Encapsulation = 'ESP',

    [Parameter(ParameterSetName = 'Plain')]
    [switch] $LocalOnly,

    [Parameter(Mandatory, ParameterSetName = 'Undo')]
    [switch] $Undo
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force
Import-Module -Name (Join-Path $PSScriptRoot 'Traffic.psm1') -Force

try {
    Assert-TestMachine
    if ($Undo) {
        if ($PSCmdlet.ShouldProcess('this machine', 'Remove the rules of the test')) {
            Remove-TestFirewallRule
            Remove-TestIPsecRule
            Write-Change 'rules of the test, removed.'
        }
        exit 0
    }
    if (-not $PSCmdlet.ShouldProcess("ports $Port to $($Port + 2)", 'Serve')) {
        exit 0
    }
    try {
        if (-not $LocalOnly) {
            Add-TestFirewallRule -Port $Port
            Write-Change "Windows' firewall lets ports $Port to $($Port + 2) and pings in."
        }
        if ($PSCmdlet.ParameterSetName -eq 'IPsec') {
            $addresses = @($Client | ForEach-Object -Process { $_.ToString() })
            Add-TestIPsecRule -RemoteAddress $addresses -PreSharedKey $PreSharedKey -Encapsulation $Encapsulation
            Write-Change "$Encapsulation is required towards $($addresses -join ', ')."
        }
        Write-Step "Serving for $Seconds seconds. Ctrl+C ends it sooner."
        Start-EchoServer -Port $Port -Seconds $Seconds
    } finally {
        if (-not $LocalOnly) {
            Remove-TestFirewallRule
            Remove-TestIPsecRule
            Write-Change 'rules of the test, removed.'
        }
    }
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
